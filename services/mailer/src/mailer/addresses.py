"""E-mail addresses as objects for a mail's headers and envelope."""

from email.errors import InvalidHeaderDefect
from email.headerregistry import Address
from email.policy import SMTP
from typing import Any

from contracts.addresses import canonical


def parse_address(text: str) -> Address:
    """Check ``name@domain``, by the rule of ``contracts.addresses``. Raises InvalidAddressError."""
    local, _, domain = canonical(text).rpartition("@")
    return Address(username=local, domain=domain)


def parse_mailbox(text: str) -> Address:
    """Check an address with an optional name: ``Warren <noreply@example.org>``.

    Raises ValueError if it is not exactly one valid address.
    """
    header: Any = SMTP.header_factory("from", text if text.isprintable() else "")
    broken = any(isinstance(defect, InvalidHeaderDefect) for defect in header.defects)
    if broken or len(header.addresses) != 1:
        raise ValueError("it must be one e-mail address, with or without a name before it")
    mailbox: Address = header.addresses[0]
    address = parse_address(mailbox.addr_spec)
    return Address(mailbox.display_name, username=address.username, domain=address.domain)


def needs_smtputf8(*addresses: Address) -> bool:
    """Whether only a server with SMTPUTF8 (RFC 6531) can take these."""
    return not all(address.username.isascii() for address in addresses)
