"""Arithmetic: small enough to show the way of a request."""

from typing import Annotated

from msgspec import Meta

from compute.declaration import computation

Number = int | float


@computation
def add(
    x: Annotated[Number, Meta(description="First summand.")],
    y: Annotated[Number, Meta(description="Second summand.")],
) -> Number:
    """Add two numbers.

    Whole numbers stay exact, however large.
    """
    return x + y


@computation
def multiply(
    x: Annotated[Number, Meta(description="First factor.")],
    y: Annotated[Number, Meta(description="Second factor.")],
) -> Number:
    """Multiply two numbers.

    Whole numbers stay exact, however large.
    """
    return x * y
