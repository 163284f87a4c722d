"""E-mail addresses, checked by one rule in web, which stores and counts them, and in the mailer."""

import unicodedata

from email_validator import EmailNotValidError, validate_email

LONGEST = 254  # characters, and bytes on the wire (RFC 5321, 4.5.3.1.3, less the angle brackets)


class InvalidAddressError(ValueError):
    """Mail cannot be sent to this address. The text tells the person who typed it why."""


def canonical(text: str) -> str:
    """Return the one spelling under which an address is stored, counted and sent to.

    The domain is in its wire form (RFC 5891). All is in lower case and in Unicode's form NFKC, so
    that spellings which look alike become the same. Quoted local parts, addresses of hosts
    (``[…]``), names without meaning on the internet (``localhost``) and invisible characters are
    refused.

    Raises InvalidAddressError if mail cannot be sent to the address.
    """
    if len(text) > LONGEST:
        raise InvalidAddressError(f"It is longer than {LONGEST} characters.")
    address = _checked(_folded(text))
    if _folded(address) != address:  # a few letters change with each folding
        raise InvalidAddressError("It contains a letter that has no lower case of its own.")
    return address


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).lower())


def _checked(text: str) -> str:
    try:
        valid = validate_email(text, check_deliverability=False, strict=True)
    except EmailNotValidError as error:
        # "from None": tracebacks are logged, and the library's own causes may quote the address
        raise InvalidAddressError(str(error)) from None
    return f"{valid.local_part}@{valid.ascii_domain}"
