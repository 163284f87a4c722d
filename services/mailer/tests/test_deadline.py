"""A connection is cut at its deadline, and at no other time."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from mailer.deadline import cut_after

LONG, SHORT = 3600, 0.05  # seconds
PATIENCE = 30  # seconds
Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pairs() -> Iterator[list[Pair]]:
    with ExitStack() as opened:
        made = [socket.socketpair() for _ in range(3)]
        for end in (end for pair in made for end in pair):
            opened.enter_context(end)
            end.settimeout(PATIENCE)
        yield made


def is_cut(pair: Pair) -> bool:
    """Wait until one end notices that the other is shut down."""
    return pair[1].recv(1) == b""


def is_open(pair: Pair) -> bool:
    pair[0].sendall(b"x")
    return pair[1].recv(1) == b"x"


def test_only_the_line_is_cut_whose_time_is_up(pairs: list[Pair]) -> None:
    with cut_after(LONG, pairs[0][0]), cut_after(SHORT, pairs[1][0]), cut_after(LONG, pairs[2][0]):
        assert is_cut(pairs[1])
        assert is_open(pairs[0])
        assert is_open(pairs[2])


def test_a_block_that_has_ended_cuts_nothing(pairs: list[Pair]) -> None:
    with cut_after(SHORT, pairs[0][0]):
        pass
    with cut_after(2 * SHORT, pairs[1][0]):
        assert is_cut(pairs[1])  # later than the other would have been
    assert is_open(pairs[0])


def test_many_deadlines_take_one_thread(pairs: list[Pair]) -> None:
    with cut_after(LONG, pairs[0][0]):
        before = threading.active_count()
        with ExitStack() as blocks:
            for _ in range(50):
                blocks.enter_context(cut_after(LONG, pairs[0][0]))
            assert threading.active_count() == before


def test_a_line_that_is_closed_already_stops_no_later_cut(pairs: list[Pair]) -> None:
    with cut_after(SHORT, pairs[0][0]), cut_after(2 * SHORT, pairs[1][0]):
        pairs[0][0].close()
        assert is_cut(pairs[1])
