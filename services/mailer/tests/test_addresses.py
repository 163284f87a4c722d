"""Addresses in the form that goes over the wire."""

import pytest

from contracts.addresses import InvalidAddressError
from mailer.addresses import needs_smtputf8, parse_address, parse_mailbox


def test_an_address_goes_over_the_wire_in_its_one_spelling() -> None:
    assert parse_address("Bob@Bücher.example").addr_spec == "bob@xn--bcher-kva.example"
    assert parse_address("bøb@example.org").addr_spec == "bøb@example.org"


def test_what_is_no_address_is_refused() -> None:
    with pytest.raises(InvalidAddressError):
        parse_address("bob@example.org\r\nBcc: eve@example.org")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("noreply@example.org", "noreply@example.org"),
        ("Warren <noreply@example.org>", "Warren <noreply@example.org>"),
        ('"Warren, Inc" <noreply@example.org>', '"Warren, Inc" <noreply@example.org>'),
        ("Wärren <noreply@bücher.example>", "Wärren <noreply@xn--bcher-kva.example>"),
    ],
)
def test_a_mailbox_may_have_a_name(text: str, shown: str) -> None:
    assert str(parse_mailbox(text)) == shown


@pytest.mark.parametrize(
    "text",
    ["", "Warren", "a@example.org, b@example.org", "<a@example.org", "W <a@example.org>\nBcc: b@c"],
)
def test_what_is_no_single_mailbox_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="e-mail address"):
        parse_mailbox(text)


def test_only_a_local_part_beyond_ascii_needs_smtputf8() -> None:
    plain = parse_address("bob@bücher.example")
    assert not needs_smtputf8(plain)
    assert needs_smtputf8(plain, parse_address("bøb@example.org"))
