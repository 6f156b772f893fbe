"""What a plan changes for which tenant, whether it may be applied, in which order it is; and drift.

Pure: what runs the engine and examines tenants is passed in.
"""
