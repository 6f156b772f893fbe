"""The tenants of meltanodata.com as code: the Pulumi program and the operator's command."""
