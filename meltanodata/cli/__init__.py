"""The operator's command, `meltanodata`: one module for each group of commands.

Only this package prints, ends the process, or reads the working directory.
"""
