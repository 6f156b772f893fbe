"""DigitalOcean's public specification: whether an answer is one that it allows."""

from __future__ import annotations

import json
import re
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
    found = _operation(request.method.lower(), path)
    if found is None:
        return [f"{request.method} {path} is not in the specification"]
    described = _resolve(found["responses"].get(str(response.status_code), found["responses"]["default"]))
    headers = described.get("headers", {})
    problems = [f"the header {name} is missing" for name in headers if name not in response.headers]
    schema = described.get("content", {}).get("application/json", {}).get("schema")
    if schema is None:
        return problems if not response.content else [*problems, f"a body with {response.status_code}"]
    validator = Draft202012Validator(
        {**_as_json_schema(schema), "components": _as_json_schema(_specification()["components"])},
        format_checker=FormatChecker(),
    )
    return problems + [f"{error.json_path}: {error.message}" for error in validator.iter_errors(response.json())]


@cache
def _specification() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(SPECIFICATION.read_text())
    return content


def _operation(method: str, path: str) -> dict[str, Any] | None:
    """The operation of a path; of several that fit, the one with the fewest parameters."""
    fitting = [
        (template.count("{"), operations[method])
        for template, operations in _specification()["paths"].items()
        if method in operations and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path)
    ]
    return min(fitting, key=lambda item: item[0])[1] if fitting else None


def _resolve(item: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in item:
        return _resolve(_specification()["components"]["responses"][item["$ref"].rsplit("/", 1)[1]])
    return item


@cache
def _converted(text: str) -> Any:
    return _convert(json.loads(text))


def _as_json_schema(schema: dict[str, Any]) -> dict[str, Any]:
    converted: dict[str, Any] = _converted(json.dumps(schema))
    return converted


def _convert(schema: Any) -> Any:
    """OpenAPI 3.0 says `nullable` where JSON Schema has another type."""
    if isinstance(schema, list):
        return [_convert(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    converted = {key: _convert(value) for key, value in schema.items() if key != "nullable"}
    if schema.get("nullable") is True:
        return {"anyOf": [converted, {"type": "null"}]}
    return converted
