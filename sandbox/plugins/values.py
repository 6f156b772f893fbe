"""Property values between Pulumi's wire format and Python.

A decoded value is None, bool, int, float, str, list or dict, with `Secret` around what is secret and UNKNOWN for
what a preview cannot know yet. Assets and archives stay the objects they are on the wire: no stand-in uses them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.struct_pb2 import NULL_VALUE, ListValue, Struct, Value

Properties = dict[str, Any]
"""A resource's inputs or outputs by name."""

# Fixed by the protocol; see "Property values" in Pulumi's developer documentation.
_UNKNOWN_TEXT: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
_SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 -- a marker, the same everywhere
_OUTPUT: Final = "d0e6a833031e9bbcd3f4e8bde6ca49a4"


class Unknown:
    """The type of UNKNOWN."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()
"""A value that only an update will know."""


@dataclass(frozen=True)
class Secret:
    """A value that the state encrypts and the display hides."""

    value: Any

    def __repr__(self) -> str:
        return "Secret(…)"


def decode(struct: Struct) -> Properties:
    """The properties in a message; nulls are left out, as an absent property and a null one mean the same."""
    return {name: decoded for name, value in struct.fields.items() if (decoded := _decode(value)) is not None}


def encode(properties: Properties, *, nulls: bool = False) -> Struct:
    """The message that holds the properties; None is left out, or a null.

    In outputs a null says that there is no value; one that is left out is unknown to a preview.
    """
    return Struct(fields={name: _encode(value) for name, value in properties.items() if nulls or value is not None})


def plain(value: Any) -> Any:
    """The value without any `Secret` around or inside it."""
    match value:
        case Secret(inner):
            return plain(inner)
        case dict():
            return {name: plain(item) for name, item in value.items()}
        case list():
            return [plain(item) for item in value]
    return value


def has_secret(value: Any) -> bool:
    """Whether the value is secret or has a secret inside."""
    match value:
        case Secret():
            return True
        case dict():
            return any(map(has_secret, value.values()))
        case list():
            return any(map(has_secret, value))
    return False


def has_unknown(value: Any) -> bool:
    """Whether the value is unknown or has something unknown inside."""
    match value:
        case Unknown():
            return True
        case Secret(inner):
            return has_unknown(inner)
        case dict():
            return any(map(has_unknown, value.values()))
        case list():
            return any(map(has_unknown, value))
    return False


def _decode(value: Value) -> Any:
    match value.WhichOneof("kind"):
        case "bool_value":
            return value.bool_value
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() else number
        case "string_value":
            return UNKNOWN if value.string_value == _UNKNOWN_TEXT else value.string_value
        case "list_value":
            return [_decode(item) for item in value.list_value.values]
        case "struct_value":
            return _decode_struct(value.struct_value)
    return None


def _decode_struct(struct: Struct) -> Any:
    fields = struct.fields
    signature = fields[_SIGNATURE].string_value if _SIGNATURE in fields else None
    if signature == _SECRET:
        return Secret(_decode(fields["value"]))
    if signature == _OUTPUT:
        # An output without a value is one that is not known yet.
        value = _decode(fields["value"]) if "value" in fields else UNKNOWN
        return Secret(value) if "secret" in fields and fields["secret"].bool_value else value
    return decode(struct)


def _encode(value: Any) -> Value:  # noqa: PLR0911 -- a case a kind
    match value:
        case None:
            return Value(null_value=NULL_VALUE)
        case Unknown():
            return Value(string_value=_UNKNOWN_TEXT)
        case Secret(inner):
            fields = {_SIGNATURE: Value(string_value=_SECRET), "value": _encode(inner)}
            return Value(struct_value=Struct(fields=fields))
        case bool():
            return Value(bool_value=value)
        case int() | float():
            return Value(number_value=value)
        case str():
            return Value(string_value=value)
        case list() | tuple():
            return Value(list_value=ListValue(values=map(_encode, value)))
        case dict():
            return Value(struct_value=encode(value))
    msg = f"no property value: {type(value).__name__}"
    raise TypeError(msg)
