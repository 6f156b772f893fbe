"""The commands between a pull request and production: `cli` has them as the shell sees them, the others what they do.

Exit codes beyond those of `meltanodata.cli.main`:
"""

STOPPED = 3
"""The guard stops the plan."""
NOT_REVIEWED = 4
"""The plan is not the one that was reviewed, or nobody has reviewed one."""
FAILED = 5
"""A tenant's deployment failed."""
DRIFTED = 6
"""Something differs although nobody deployed."""
