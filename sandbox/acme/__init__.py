"""An ACME server for the sandbox: Let's Encrypt's own test server, Pebble, built from its Go module."""
