"""What every test starts from: no credentials of the person who runs them."""

from __future__ import annotations

import os

# Read by clients at import or start-up, so before any test module is imported: a test must never reach
# a real account, whoever's machine it runs on. Tests of the engine set their own sandbox's.
_CREDENTIALS = ("DIGITALOCEAN_", "PULUMI_", "SPACES_", "OP_")

for _name in [name for name in os.environ if name.startswith(_CREDENTIALS)]:
    del os.environ[_name]
os.environ.pop("SSH_AUTH_SOCK", None)
