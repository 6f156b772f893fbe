"""What people look at: tables for a terminal, Markdown for GitHub, the page of the fleet.

Pure: nothing here reads files, accounts or states.
"""
