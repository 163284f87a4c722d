"""What counts as an address, and under which one spelling."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.addresses import InvalidAddressError, canonical


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("bob@example.org", "bob@example.org"),
        ("Bob.Smith+News@Mail.Example.ORG", "bob.smith+news@mail.example.org"),
        ("bøb@example.org", "bøb@example.org"),
        ("x@bücher.example.org", "x@xn--bcher-kva.example.org"),
        ("x@XN--BCHER-KVA.example.org", "x@xn--bcher-kva.example.org"),
        ("x@bu\u0308cher.example.org", "x@xn--bcher-kva.example.org"),
        ("x@\uff45xample.org", "x@example.org"),
        ("\uff58@example.org", "x@example.org"),
        ("x\uff20example.org", "x@example.org"),
        ("e\u0301@example.org", "é@example.org"),
        ("\u0130a@example.org", "i\u0307a@example.org"),
        ("\ufb01@example.org", "fi@example.org"),
    ],
)
def test_an_address_has_one_spelling(text: str, stored: str) -> None:
    assert canonical(text) == stored
    assert canonical(stored) == stored


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bob",
        "bob@",
        "@example.org",
        "bob@example..org",
        "bob@example.org.",
        "..@example.org",
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
        "a@exam\u200bple.org",
        "a@example.org\ufeff",
        "a\u200b@example.org",
        "a@i\u2764.example.org",
        '"a"@example.org',
        '"a b"@example.org',
        '"a\x01"@example.org',
        "x@localhost",
        "x@corp.local",
        "x@[127.0.0.1]",
        "x@127.0.0.1",
        "x@xn--a.org",
        "a" * 65 + "@example.org",
        "a@" + "b" * 64 + ".org",
        "a" * 10_000_000,
        "\ud800@example.org",
    ],
    ids=lambda text: ascii(text[:30]),
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidAddressError) as caught:
        canonical(text)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@given(local=st.text(max_size=20), domain=st.text(max_size=20))
def test_whatever_is_typed_ends_in_one_spelling_or_none(local: str, domain: str) -> None:
    for text in (f"{local}@example.org", f"x@{domain}.org", f"{local}@{domain}"):
        try:
            address = canonical(text)
        except InvalidAddressError:
            continue
        assert canonical(address) == address == address.lower()
        assert address.isprintable()
        assert address.rpartition("@")[2].isascii()
