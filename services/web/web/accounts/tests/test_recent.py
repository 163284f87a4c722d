"""Remembering what was read a moment ago."""

import time

import pytest

from web import recent
from web.recent import Recent


def test_a_value_is_recent_for_two_seconds_or_less(monkeypatch: pytest.MonkeyPatch) -> None:
    known: Recent[str, int] = Recent()
    began = time.monotonic()
    known.keep("a", 1)
    known.keep("b", 2, seconds=0.5)
    known.keep("c", 3, seconds=3600)
    assert [known.get(key) for key in ("a", "b", "c", "d")] == [1, 2, 3, None]
    monkeypatch.setattr(time, "monotonic", lambda: began + 1.5)
    assert [known.get(key) for key in ("a", "b", "c")] == [1, None, 3]
    monkeypatch.setattr(time, "monotonic", lambda: began + 2.5)
    assert [known.get(key) for key in ("a", "b", "c")] == [None] * 3


def test_only_so_many_values_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "MOST", 3)
    known: Recent[int, int] = Recent()
    for number in range(10):
        known.keep(number, number)
        assert known.get(number) == number
    assert sum(known.get(number) is not None for number in range(10)) <= 3


def test_all_can_be_forgotten() -> None:
    first, second = Recent[str, int](), Recent[str, int]()
    first.keep("a", 1)
    second.keep("a", 2)
    recent.forget_all()
    assert (first.get("a"), second.get("a")) == (None, None)
