"""Prime numbers."""

from math import isqrt
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from compute.declaration import computation
from compute.progress import report_progress

SEGMENT = 2**22  # numbers sieved at once: their odd half takes 2 MiB, about a core's cache


class PrimeCount(msgspec.Struct, frozen=True):
    """How many primes there are up to ``limit``, and the largest of them, if any."""

    limit: int
    count: int
    largest: int | None


@computation(time_limit=300, memory_limit=256)
def count_primes(
    limit: Annotated[int, Meta(ge=0, le=10**10, description="Count up to and including it.")],
) -> PrimeCount:
    """Count the primes up to and including a limit.

    A segmented sieve of Eratosthenes over the odd numbers: memory stays small, whatever the limit.
    """
    if limit < 2:
        return PrimeCount(limit, 0, None)
    sieving, count, largest = _odd_primes(isqrt(limit)), 1, 2
    for low in range(3, limit + 1, SEGMENT):
        high = min(low + SEGMENT, limit + 1)
        found = np.flatnonzero(_sieve(low, high, sieving))
        if found.size:
            count, largest = count + found.size, low + 2 * int(found[-1])
        report_progress(high - 1, limit)
    return PrimeCount(limit, count, largest)


def _odd_primes(limit: int) -> NDArray[np.int64]:
    if limit < 3:
        return np.empty(0, dtype=np.int64)
    return 3 + 2 * np.flatnonzero(_sieve(3, limit + 1, _odd_primes(isqrt(limit))))


def _sieve(low: int, high: int, odd_primes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Flag the primes among the odd numbers ``low``, ``low`` + 2, … below ``high``.

    ``odd_primes`` holds all of them up to the square root of ``high``, and maybe more.
    """
    flags = np.ones((high - low + 1) // 2, dtype=np.bool_)
    primes = odd_primes[: np.searchsorted(odd_primes, isqrt(high - 1), side="right")]
    multiples = np.maximum(primes * primes, -(-low // primes) * primes)
    multiples += np.where(multiples % 2 == 0, primes, 0)  # the first odd one from low on
    for prime, index in zip(primes.tolist(), ((multiples - low) // 2).tolist(), strict=True):
        flags[index::prime] = False
    return flags
