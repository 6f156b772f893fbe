"""What goes onto a droplet, and how we get there: files, scripts and SSH.

Nothing here knows Pulumi. `scripts` holds what runs on the droplet: standard library only.
"""
