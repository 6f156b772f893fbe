"""Property values survive the way over the wire."""

from __future__ import annotations

import pytest
from google.protobuf.struct_pb2 import Struct, Value
from hypothesis import given
from hypothesis import strategies as st

from sandbox.plugins.values import UNKNOWN, Secret, decode, encode, has_secret, has_unknown, plain

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT
VALUES = st.recursive(
    SCALARS | st.just(UNKNOWN),
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner) | inner.map(lambda value: Secret(plain(value))),
)


@given(st.dictionaries(TEXT, VALUES))
def test_what_is_sent_arrives(properties: dict[str, object]) -> None:
    assert decode(Struct.FromString(encode(properties).SerializeToString())) == properties


@given(st.dictionaries(TEXT, VALUES))
def test_plain_has_no_secret_and_loses_nothing_else(properties: dict[str, object]) -> None:
    bare = plain(properties)
    assert not has_secret(bare)
    assert has_unknown(bare) == has_unknown(properties)
    if not has_secret(properties):
        assert bare == properties


def test_null_means_absent() -> None:
    assert decode(encode({"a": None, "b": 1})) == {"b": 1}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, UNKNOWN),
        ({"value": Value(number_value=3)}, 3),
        ({"value": Value(number_value=3), "secret": Value(bool_value=True)}, Secret(3)),
        ({"secret": Value(bool_value=True)}, Secret(UNKNOWN)),
    ],
)
def test_an_output_is_its_value(fields: dict[str, Value], expected: object) -> None:
    signature = Value(string_value="d0e6a833031e9bbcd3f4e8bde6ca49a4")
    output = Struct(fields={"4dabf18193072939515e22adb298388d": signature, **fields})
    assert decode(Struct(fields={"a": Value(struct_value=output)})) == {"a": expected}


def test_a_secret_is_not_shown_by_repr() -> None:
    assert "hunter2" not in repr({"password": Secret("hunter2")})
