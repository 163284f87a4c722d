"""How often something may be done, as settings write it."""

import pytest

from runtime.rates import Rate


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("10/s", Rate(10, seconds=1)),
        ("30/5m", Rate(30, seconds=300)),
        ("1/h", Rate(1, seconds=3600)),
        ("1000/1d", Rate(1000, seconds=86_400)),
    ],
)
def test_a_rate_is_read(text: str, rate: Rate) -> None:
    assert Rate.parse(text) == rate


@pytest.mark.parametrize("text", ["", "10", "10/", "0/s", "-1/s", "10/0m", "10/w", "10/5", "a/s"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="it must be a number, a slash and a time"):
        Rate.parse(text)
