"""Descriptive statistics."""

from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from compute.declaration import computation


class Summary(msgspec.Struct, frozen=True):
    """Figures that describe a list of numbers; ``stdev`` is null for a single number."""

    count: int
    min: float
    max: float
    mean: float
    median: float
    stdev: float | None
    quartiles: tuple[float, float, float]


@computation
def describe(
    values: Annotated[
        list[float],
        Meta(min_length=1, max_length=100_000, description="The numbers, in any order."),
    ],
) -> Summary:
    """Describe a list of numbers: range, mean, median, spread and quartiles.

    The standard deviation is that of a sample (divided by n - 1). The quartiles interpolate
    linearly between neighbours, with the smallest and the largest number as 0 % and 100 %.
    """
    array = np.asarray(values)
    with np.errstate(over="raise"):  # an answer out of range is an error, and not infinity
        q1, median, q3 = np.percentile(array, (25, 50, 75)).tolist()
        return Summary(
            count=array.size,
            min=array.min(),
            max=array.max(),
            mean=array.mean(),
            median=median,
            stdev=array.std(ddof=1) if array.size > 1 else None,
            quartiles=(q1, median, q3),
        )
