"""The tenants' logins, and 1Password, which can keep them."""
