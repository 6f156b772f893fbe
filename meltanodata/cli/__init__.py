"""The operator's command, `meltanodata`: one file for each group of commands, with declaration, help and body.

Only this package prints, ends the process, or reads the working directory. What several commands use: `context` (which
project, stacks and fleet file), `options`, `exit_codes`, `recovery` (after a killed run) and `reviewed_push` (what was
reviewed of a push).

The command starts fast: whatever is slow to load is imported in the function that uses it. The list of such modules is
`banned-module-level-imports` in pyproject.toml, and ruff holds it.
"""
