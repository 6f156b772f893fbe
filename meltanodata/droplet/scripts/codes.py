"""The codes by which scripts name what is wrong."""

from __future__ import annotations

from typing import Literal, NamedTuple

PageCode = Literal["another_certificate", "bad_certificate", "no_answer", "public", "another_status"]
DatabaseCode = Literal["variable_missing", "not_let_in", "not_asked"]


class Problem(NamedTuple):
    """Why a page or a database does not work."""

    code: PageCode | DatabaseCode
    detail: str = ""
    """OpenSSL's reason, the error, the status, the variable's name, or what was printed instead of an answer."""
