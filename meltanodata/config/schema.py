"""tenants.schema.json, which editors check tenants.yaml with while it is typed."""

from __future__ import annotations

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from meltanodata.config.options import LABEL, Options

FILE = "tenants.schema.json"


def text() -> str:
    """The schema of the fleet file as JSON, draft 2020-12, ending in a line break."""
    _, parts = models_json_schema([(Options, "validation")], ref_template="#/$defs/{model}", schema_generator=_Stated)
    definitions = parts["$defs"]
    # The team may be missing on disk until `meltanodata assign` has written it; to an editor it is a mistake.
    definitions["Options"]["required"] = ["database_team"]
    schema = {
        "$schema": GenerateJsonSchema.schema_dialect,
        "title": "The tenants of meltanodata.com",
        "description": "Each tenant's name, the first part of its host name, with its options.",
        "type": "object",
        "propertyNames": {"pattern": LABEL},
        "additionalProperties": {"$ref": "#/$defs/Options"},
        "examples": [{"acme": {"database_team": "MeltanoData DBs 1"}}],
        "$defs": definitions,
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


class _Stated(GenerateJsonSchema):
    """An option is stated with a value or left out, never stated as null."""

    def nullable_schema(self, schema: Any) -> dict[str, Any]:
        """The schema without null."""
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: Any) -> dict[str, Any]:
        """A default of None is no value to be written."""
        inner = super().default_schema(schema)
        if inner.get("default", ...) is None:
            del inner["default"]
        return inner
