"""The codes with which scripts answer what is wrong, each with a detail: text of others, or a number."""

from __future__ import annotations

from typing import NamedTuple


class Problem(NamedTuple):
    """Why something does not work."""

    code: str
    detail: str = ""


ANOTHER_CERTIFICATE = "another_certificate"
"""Of a page, as are those up to ANOTHER_STATUS."""
BAD_CERTIFICATE = "bad_certificate"
"""The detail is OpenSSL's reason."""
NO_ANSWER = "no_answer"
"""The detail is the error."""
PUBLIC = "public"
ANOTHER_STATUS = "another_status"
"""The detail is the status."""
MELTANOS = (PUBLIC, ANOTHER_STATUS)
"""Where Meltano is to be looked at, and not Caddy."""

VARIABLE_MISSING = "variable_missing"
"""Of a database, as are the following. The detail is the variable's name."""
NOT_LET_IN = "not_let_in"
"""The detail is the driver's error."""
NOT_ASKED = "not_asked"
"""The detail is what was said instead of an answer."""
