"""Stand-ins for the plugins of Pulumi that cannot be had from package registries.

One process (`python -m sandbox.plugins`) serves every package on Pulumi's provider protocol; the engine attaches
to it by PULUMI_DEBUG_PROVIDERS. `package.py` is what a package implements, `server.py` speaks the protocol.
"""
