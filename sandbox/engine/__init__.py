"""Pulumi's engine: the CLI, found, installed or built, and a stand-in for its Python language host."""
