"""What is declared: the Pulumi program, from the settings to every tenant's resources.

Only this package imports `pulumi`. Nothing here prints; nothing here decides what an option means to a person.
"""
