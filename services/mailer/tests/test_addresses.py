"""What counts as an address, and what goes over the wire."""

import pytest

from mailer.addresses import needs_smtputf8, parse_address, parse_mailbox


@pytest.mark.parametrize(
    "text",
    [
        "bob@example.org",
        "bob.smith+news@mail.example.org",
        '"bob smith"@example.org',
        "bob@[127.0.0.1]",
        "bøb@example.org",
    ],
)
def test_an_address_is_taken_as_it_is(text: str) -> None:
    assert parse_address(text).addr_spec == text


def test_a_domain_beyond_ascii_goes_over_the_wire_as_its_a_label() -> None:
    assert parse_address("bob@Bücher.example").addr_spec == "bob@xn--bcher-kva.example"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bob",
        "bob@",
        "@example.org",
        "bob@example..org",
        "bob smith@example.org",
        " bob@example.org",
        "bob@example.org ",
        "bob@example.org, eve@example.org",
        "Bob <bob@example.org>",
        "bob(comment)@example.org",
        "bob@example.org\r\nBcc: eve@example.org",
        "bob@example.org\nRCPT TO:<eve@example.org>",
        "bob\n@example.org",
        "bob@example.org\x00",
        "bøb@ex\u202eample.org",
        "bob@exämple..org",
        "..@example.org",
    ],
)
def test_what_is_no_address_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(ValueError, match=r"^it is no e-mail address$") as caught:
        parse_address(text)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


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
