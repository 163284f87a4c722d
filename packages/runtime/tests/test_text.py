"""Text from anywhere is made fit to be stored and shown."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import MalformedMessageError
from runtime.text import describe, storable_text


@pytest.mark.parametrize(
    ("value", "text"),
    [("a\0b", "a\\x00b"), ("\ud800", "\\ud800"), (b"\xff", "\\xff"), ({"a": 1}, "…"), ([1], "…"),
     (None, "None"), ("é", "é")],
)  # fmt: skip
def test_what_cannot_be_stored_stays_readable(value: object, text: str) -> None:
    assert storable_text(value) == text


@given(st.text() | st.binary() | st.integers() | st.floats())
def test_any_value_becomes_text_that_can_be_stored(value: Any) -> None:
    text = storable_text(value, 10)
    assert len(text) <= 10
    assert "\0" not in text
    text.encode()


def test_an_error_of_somebody_elses_is_described_by_its_class_alone() -> None:
    error = ValueError("hunter2")
    error.__cause__ = KeyError("hunter2")
    assert describe(error) == "ValueError from KeyError"
    assert describe(MalformedMessageError("a field is missing")) == "a field is missing"
