"""Stand-ins for what tests cannot have: GitHub, 1Password, DigitalOcean's API, Caddy, SSH servers, and the clock.

A fake answers as a test tells it to. What behaves as DigitalOcean does, by itself, is the sandbox.
"""
