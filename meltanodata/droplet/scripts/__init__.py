"""What runs on a droplet, each file by itself: standard library only, Python 3.8 or newer.

Nothing here imports anything of this project.
"""
