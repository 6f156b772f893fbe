"""What is wrong with an instance and what to do: probes, which look, and the diagnosis, which judges what they saw."""
