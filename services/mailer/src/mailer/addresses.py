"""E-mail addresses: what is one, and how it goes over the wire."""

import re
from email.errors import InvalidHeaderDefect, MessageError
from email.headerregistry import Address
from email.policy import SMTP
from typing import Any

import idna

# RFC 6531 lets any letter into the local part, which is else made of RFC 5322's atoms.
ATOMS = re.compile(r"[\w!#$%&'*+/=?^`{|}~-]+(\.[\w!#$%&'*+/=?^`{|}~-]+)*")
NO_ADDRESS = "it is no e-mail address"


def parse_address(text: str) -> Address:
    """Check ``name@domain``; a domain beyond ASCII is put into its wire form (RFC 5891).

    Raises ValueError, which repeats no part of it. A line break, which could begin a header or
    an SMTP command of its own, is refused like anything else that is no address.
    """
    local, _, domain = text.rpartition("@")
    if not local or not domain or not text.isprintable():
        raise ValueError(NO_ADDRESS)
    domain = _wire_domain(domain)
    if ATOMS.fullmatch(local):
        return Address(username=local, domain=_checked(f"x@{domain}").domain)
    return _checked(f"{local}@{domain}")


def parse_mailbox(text: str) -> Address:
    """Check an address with an optional name: ``Warren <noreply@example.org>``.

    Raises ValueError, which repeats no part of it.
    """
    header: Any = SMTP.header_factory("from", text if text.isprintable() else "")
    broken = any(isinstance(defect, InvalidHeaderDefect) for defect in header.defects)
    if broken or len(header.addresses) != 1:
        raise ValueError("it must be one e-mail address, with or without a name before it")
    mailbox: Address = header.addresses[0]
    address = parse_address(mailbox.addr_spec)
    return Address(mailbox.display_name, username=address.username, domain=address.domain)


def needs_smtputf8(*addresses: Address) -> bool:
    """Whether a server must speak SMTPUTF8 (RFC 6531) to take these."""
    return not all(address.username.isascii() for address in addresses)


def _checked(address: str) -> Address:
    # "from None": the parser's words repeat the address, and tracebacks are logged
    try:
        parsed = Address(addr_spec=address)
    except (MessageError, ValueError, IndexError):
        raise ValueError(NO_ADDRESS) from None
    if str(parsed) != address:  # comments and spaces, which the parser takes out
        raise ValueError(NO_ADDRESS)
    return parsed


def _wire_domain(domain: str) -> str:
    if domain.isascii():
        return domain
    try:
        return idna.encode(domain, uts46=True).decode()
    except idna.IDNAError:
        raise ValueError(NO_ADDRESS) from None
