"""Addition and multiplication."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute.computations.arithmetic import add, multiply


@pytest.mark.parametrize(("x", "y", "total"), [(4, 6, 10), (-1, 1, 0), (0.5, 0.25, 0.75)])
def test_adds(x: float, y: float, total: float) -> None:
    assert add(x, y) == total


@pytest.mark.parametrize(("x", "y", "product"), [(4, 6, 24), (-3, 3, -9), (0.5, 0.5, 0.25)])
def test_multiplies(x: float, y: float, product: float) -> None:
    assert multiply(x, y) == product


@given(st.integers(), st.integers())
def test_whole_numbers_stay_whole(x: int, y: int) -> None:
    results = add(x, y), multiply(x, y)

    assert [type(result) for result in results] == [int, int]
    assert results == (x + y, x * y)
