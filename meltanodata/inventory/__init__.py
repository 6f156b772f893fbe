"""What the accounts have: listed, matched with tenants by name, adopted, owned, and how much more fits.

Only `accounts` talks to DigitalOcean; everything else decides on what it has listed. Nothing here declares a resource.
"""
