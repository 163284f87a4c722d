"""A module that the worker must refuse."""

from compute.declaration import computation


@computation
def mumble(x: int) -> int:
    return x
