"""Properties of messages, as whoever may publish can write them."""

import random

import pytest

from runtime.wire import UNREADABLE, TolerantMessage

BASIC = 60  # the AMQP class to which messages belong
SEED, COUNT = 20, 20_000
KINDS = b"tbBUuIiLlfdDsSAFTVx"  # of values in a table of headers, and one that is none


def header(value: bytes) -> bytes:
    """Write the properties of a message with one header, named ``a``."""
    table = b"\x01a" + value
    return b"\x20\x00" + len(table).to_bytes(4) + table


def read(properties: bytes) -> TolerantMessage:
    message = TolerantMessage()
    message._load_properties(BASIC, properties, 0)
    return message


@pytest.mark.parametrize("seconds", [2**38, 2**56, 2**63, 2**64 - 1])
def test_a_time_beyond_the_calendar_is_unreadable(seconds: int) -> None:
    assert UNREADABLE in read(header(b"T" + seconds.to_bytes(8))).headers


def test_any_properties_can_be_read() -> None:
    chance = random.Random(SEED)  # noqa: S311 -- it has to be the same each time
    for _ in range(COUNT):
        value = bytes([chance.choice(KINDS)]) + chance.randbytes(chance.randrange(12))
        for properties in (chance.randbytes(chance.randrange(40)), header(value)):
            assert read(properties).properties is not None
