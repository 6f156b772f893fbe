"""What people write: tenants.yaml and the stacks' settings, read, checked, placed and edited.

Pure, but for reading files of the repository and its history. Nothing here asks an account, the engine or a droplet.
"""
