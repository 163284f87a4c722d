"""The decorator that makes a function a computation."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, overload

Function = TypeVar("Function", bound=Callable[..., Any])
MARK = "__warren_computation__"


@dataclass(frozen=True)
class Declaration:
    """The decorator's arguments; None means that the worker's settings decide."""

    name: str
    time_limit: int | None = None
    memory_limit: int | None = None


@overload
def computation(function: Function, /) -> Function: ...


@overload
def computation(
    *, name: str | None = None, time_limit: int | None = None, memory_limit: int | None = None
) -> Callable[[Function], Function]: ...


def computation(
    function: Function | None = None,
    /,
    *,
    name: str | None = None,
    time_limit: int | None = None,
    memory_limit: int | None = None,
) -> Function | Callable[[Function], Function]:
    """Offer a function to clients, described by its type hints and docstring; it is not changed.

    Args:
        function: the function, if the decorator is used without brackets.
        name: the name for clients; by default the function's.
        time_limit: seconds that a run may take; by default COMPUTE_TIME_LIMIT.
        memory_limit: MiB that a run may use; by default COMPUTE_MEMORY_LIMIT.
    """

    def declare(declared: Function) -> Function:
        declaration = Declaration(name or declared.__name__, time_limit, memory_limit)
        setattr(declared, MARK, declaration)
        return declared

    return declare(function) if function is not None else declare
