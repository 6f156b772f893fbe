"""The exit codes of `meltanodata`. The command line's help lists them, see `main.app`."""

WRONG = 1
"""Something needs to be fixed; the messages say what."""
USAGE = 2
"""The command was called wrongly (typer's own)."""
STOPPED = 3
"""The guard stops the plan."""
NOT_REVIEWED = 4
"""The plan is not the reviewed one, or no plan was reviewed."""
FAILED = 5
"""A tenant's deployment failed, or a tenant cannot be planned and was left alone."""
DRIFTED = 6
"""There is drift."""

HELP = f"""Exit codes: 0 success; {WRONG} something needs to be fixed, and the messages say what; {USAGE} wrong usage;
{STOPPED} the guard stops the plan; {NOT_REVIEWED} the plan is not the reviewed one; {FAILED} a tenant's deployment
failed, or a tenant was left alone; {DRIFTED} there is drift."""
