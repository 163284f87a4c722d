"""Counting primes, against known values and a naive sieve."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute.computations import primes
from compute.computations.primes import PrimeCount, count_primes

# The prime-counting function: https://oeis.org/A006880; the largest primes: https://oeis.org/A003618
KNOWN = [
    (0, 0, None),
    (1, 0, None),
    (2, 1, 2),
    (3, 2, 3),
    (4, 2, 3),
    (10, 4, 7),
    (100, 25, 97),
    (1_000, 168, 997),
    (10_000, 1_229, 9_973),
    (100_000, 9_592, 99_991),
    (1_000_000, 78_498, 999_983),
    (10_000_000, 664_579, 9_999_991),
    (100_000_000, 5_761_455, 99_999_989),
]


def naive(limit: int) -> list[int]:
    return [n for n in range(2, limit + 1) if all(n % d for d in range(2, int(n**0.5) + 1))]


@pytest.mark.parametrize(("limit", "count", "largest"), KNOWN)
def test_agrees_with_known_values(limit: int, count: int, largest: int | None) -> None:
    assert count_primes(limit) == PrimeCount(limit, count, largest)


@given(limit=st.integers(0, 5_000), segment=st.integers(1, 300).map(lambda half: 2 * half))
def test_agrees_with_a_naive_sieve_whatever_the_segments(limit: int, segment: int) -> None:
    expected = naive(limit)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(primes, "SEGMENT", segment)
        found = count_primes(limit)

    assert (found.count, found.largest) == (len(expected), expected[-1] if expected else None)


def test_reports_progress_up_to_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    reports: list[tuple[int, int]] = []
    monkeypatch.setattr(primes, "report_progress", lambda *report: reports.append(report))

    count_primes(3 * primes.SEGMENT)

    assert [total for _, total in reports] == [3 * primes.SEGMENT] * 3
    assert sorted(done for done, _ in reports) == [done for done, _ in reports]
    assert reports[-1] == (3 * primes.SEGMENT, 3 * primes.SEGMENT)
