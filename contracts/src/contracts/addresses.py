"""E-mail addresses: the one rule of web, which stores and counts them, and of the mailer."""

import unicodedata

from email_validator import EmailNotValidError, validate_email

LONGEST = 254  # characters, and bytes on the wire (RFC 5321, 4.5.3.1.3, less the angle brackets)


class InvalidAddressError(ValueError):
    """It is no e-mail address that mail can be sent to; the text says why, for whoever typed it."""


def canonical(text: str) -> str:
    """Return the one spelling under which an address is stored, counted and sent to.

    The domain is in its wire form (RFC 5891), all is in lower case and in Unicode's form NFKC, so
    that spellings which look alike are the same. Quoted local parts, addresses of hosts (``[…]``)
    and names that never reach the internet (``localhost``) are refused, as are characters that
    cannot be seen.

    Raises InvalidAddressError.
    """
    if len(text) > LONGEST:
        raise InvalidAddressError(f"It is longer than {LONGEST} characters.")
    address = _checked(_folded(text))
    if _folded(address) != address:  # a few letters never come to rest
        raise InvalidAddressError("It contains a letter that has no lower case of its own.")
    return address


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).lower())


def _checked(text: str) -> str:
    try:
        valid = validate_email(text, check_deliverability=False, strict=True)
    except EmailNotValidError as error:
        # "from None": tracebacks are logged, and what the library says may repeat a part of it
        raise InvalidAddressError(str(error)) from None
    return f"{valid.local_part}@{valid.ascii_domain}"
