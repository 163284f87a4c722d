"""The faults that there are."""

from collections.abc import Callable
from dataclasses import dataclass

from .stage import Stage

PROCESSES = ("web", "relay", "collector", "reconciler", "mailer", "compute", "tasks")
QUEUES = ("compute", "mailer", "web.tasks", "web.results", "web.dead")

Act = Callable[[Stage], None]


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong: ``act`` makes it happen, and returns when it is over."""

    name: str
    group: str
    act: Act
    quick: bool = False
    may_refuse: bool = False
    small_disk: bool = False
    deletes: bool = False


class NotPossibleError(Exception):
    """This machine does not allow the fault, for the reason given."""


FAULTS: list[Fault] = []


def fault(
    group: str,
    name: str,
    *,
    quick: bool = False,
    may_refuse: bool = False,
    small_disk: bool = False,
    deletes: bool = False,
) -> Callable[[Act], Act]:
    """Register a function as a fault.

    Args:
        group: what kind of fault it is.
        name: what happens, in words.
        quick: whether it belongs to the short form too.
        may_refuse: whether web may answer with 503 meanwhile, because the database is away.
        small_disk: whether it takes a database on a small disk of its own.
        deletes: whether the broker loses things, on which its users' rights might hang.
    """

    def register(act: Act) -> Act:
        FAULTS.append(Fault(name, group, act, quick, may_refuse, small_disk, deletes))
        return act

    return register
