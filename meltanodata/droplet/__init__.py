"""A droplet's files and scripts, and the SSH connections to it.

Nothing here knows Pulumi. `scripts` holds what runs on the droplet: standard library only.
"""
