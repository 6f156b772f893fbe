"""From a plan to tenants that have it: what changes for whom, whether it may, in which order, and drift.

Pure; what runs the engine and looks at tenants is handed in.
"""
