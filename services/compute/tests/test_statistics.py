"""Descriptive statistics, against the standard library's."""

import statistics
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute.computations.statistics import describe

# Within these, squares neither leave the range of a float nor vanish.
NUMBERS = st.floats(-1e100, 1e100, allow_nan=False).map(lambda x: x if abs(x) > 1e-100 else 0.0)


@given(st.lists(NUMBERS, min_size=2, max_size=200))
def test_agrees_with_the_standard_library(values: list[float]) -> None:
    scale = max(abs(value) for value in values)

    def about(expected: Any) -> Any:
        return pytest.approx(expected, rel=1e-9, abs=1e-9 * scale)

    summary = describe(values)

    assert (summary.count, summary.min, summary.max) == (len(values), min(values), max(values))
    assert summary.mean == about(statistics.fmean(values))
    assert summary.median == about(statistics.median(values))
    assert summary.stdev == about(statistics.stdev(values))
    quartiles = statistics.quantiles(values, n=4, method="inclusive")
    assert list(summary.quartiles) == about(quartiles)


def test_a_single_number_has_no_standard_deviation() -> None:
    summary = describe([4.0])

    assert summary.stdev is None
    assert summary.quartiles == (4.0, 4.0, 4.0)


def test_an_answer_out_of_range_is_an_error() -> None:
    with pytest.raises(FloatingPointError, match="overflow"):
        describe([1.7e308, 1.7e308])
