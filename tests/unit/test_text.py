"""Lists, counts and foreign texts as they stand in messages."""

from __future__ import annotations

from meltanodata import text


def test_more_words_than_are_shown_are_counted() -> None:
    assert text.first_of(["a", "b"], 2) == "a, b"
    assert text.first_of(iter(["a", "b", "c", "d"]), 2) == "a, b and 2 more"


def test_one_thing_is_counted_in_the_singular() -> None:
    assert [text.count(number, "tenant") for number in (0, 1, 2)] == ["0 tenants", "1 tenant", "2 tenants"]


def test_a_foreign_text_is_printable_and_of_limited_length() -> None:
    assert text.printable("a\u202eb\n", 10) == "a�b�"
    assert text.printable("abc", 3) == "abc"
    assert text.printable("abcd", 3) == "abc…"
