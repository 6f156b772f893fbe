"""The wildcard certificate: obtaining it from an ACME server, and writing it into the stacks' config.

A certificate reaches droplets like any other setting, by a deployment. So nothing here touches a droplet or a state.
"""
