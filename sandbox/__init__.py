"""A DigitalOcean on one machine, for trying the program without an account, for tests and benchmarks."""
