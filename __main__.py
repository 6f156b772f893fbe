"""The Pulumi program: the tenants of one stack."""

from meltanodata.program.run import run

run()
