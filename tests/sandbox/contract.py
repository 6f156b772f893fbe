"""DigitalOcean's public specification: whether an answer is one that it allows."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator, FormatChecker

if TYPE_CHECKING:
    import requests

SPECIFICATION = Path(__file__).with_name("digitalocean.openapi.json")
"""Source and license stand in its `info`."""


def violations(response: requests.Response) -> list[str]:
    """What is wrong with an answer of the API, a line each."""
    request = response.request
    assert request.method is not None
    assert request.url is not None
    path = re.sub(r"^https?://[^/]+", "", request.url).partition("?")[0]
    described = _described(request.method.lower(), path, str(response.status_code))
    if described is None:
        return [f"{request.method} {path} is not in the specification"]
    problems = [f"the header {name} is missing" for name in described.headers if name not in response.headers]
    if described.validator is None:
        return problems if not response.content else [*problems, f"a body with {response.status_code}"]
    errors = described.validator.iter_errors(response.json())
    return problems + [f"{error.json_path}: {error.message}" for error in errors]


@dataclass(frozen=True)
class _Described:
    """An answer as the specification describes it."""

    headers: frozenset[str]
    validator: Draft202012Validator | None
    """Of the body; None when there is none."""


def _described(method: str, path: str, status: str) -> _Described | None:
    template = _template(method, path)
    return _answer(method, template, status) if template is not None else None


def _template(method: str, path: str) -> str | None:
    """The path as the specification has it; of several that fit, the one with the fewest parameters."""
    fitting = [
        template
        for template, operations in _specification()["paths"].items()
        if method in operations and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path)
    ]
    return min(fitting, key=lambda template: template.count("{"), default=None)


@cache
def _answer(method: str, template: str, status: str) -> _Described:
    responses = _specification()["paths"][template][method]["responses"]
    described = responses.get(status, responses["default"])
    if "$ref" in described:
        described = _specification()["components"]["responses"][described["$ref"].rsplit("/", 1)[1]]
    schema = described.get("content", {}).get("application/json", {}).get("schema")
    validator = schema and Draft202012Validator(
        {**_as_json_schema(schema), "components": _as_json_schema(_specification()["components"])},
        format_checker=FormatChecker(),
    )
    return _Described(frozenset(described.get("headers", {})), validator)


@cache
def _specification() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(SPECIFICATION.read_text())
    return content


def _as_json_schema(schema: Any) -> Any:
    """OpenAPI 3.0 says `nullable` where JSON Schema has another type."""
    if isinstance(schema, list):
        return [_as_json_schema(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    converted = {key: _as_json_schema(value) for key, value in schema.items() if key != "nullable"}
    if schema.get("nullable") is True:
        return {"anyOf": [converted, {"type": "null"}]}
    return converted
