"""Findings about instances: probes examine them, and the diagnosis says what is wrong and what to do."""
