"""Pulumi from outside: its command line, the state and the previews that it prints, and putting both in order.

Nothing here knows what a tenant's options mean, and nothing here runs inside a Pulumi program.
"""
