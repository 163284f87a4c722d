"""DKIM signatures (RFC 6376), by which a recipient's server knows a mail as the domain's."""

import base64
import binascii
import re
from dataclasses import dataclass, field
from enum import StrEnum

import dkim
from dkim.crypto import UnparsableKeyError, parse_private_key

BEGIN, END = "-----BEGIN (?:RSA )?PRIVATE KEY-----", "-----END (?:RSA )?PRIVATE KEY-----"
PEM = re.compile(rf"{BEGIN}([\sA-Za-z0-9+/=]+){END}")
ED25519 = bytes.fromhex("302e020100300506032b657004220420")  # RFC 8410, 7; the key follows
SHORTEST = 1024  # bits; RFC 8301, 3.2
# From stands here twice: a second From, put in on the way, makes the signature wrong (RFC 6376,
# 8.15).
SIGNED = (
    *("from", "from", "to", "subject", "date", "message-id", "mime-version", "content-type"),
    "auto-submitted",
)
NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(\.(?!-)[A-Za-z0-9_-]{1,63})*")


class Algorithm(StrEnum):
    """How a key signs; the value is the signature's tag ``a``."""

    RSA = "rsa-sha256"
    ED25519 = "ed25519-sha256"


@dataclass(frozen=True)
class Key:
    """A private key in the form that dkimpy takes: PEM of RSA, or the base64 of Ed25519."""

    algorithm: Algorithm
    secret: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> "Key":
        """Read a key in PEM, whatever has become of its line breaks.

        Raises ValueError for any other text, and repeats no part of it.
        """
        found = PEM.fullmatch(text.strip())
        if found is None:
            raise ValueError("it must be one private key in PEM, without a passphrase")
        try:
            der = base64.b64decode("".join(found[1].split()), validate=True)
        except binascii.Error:
            raise ValueError("its base64 is not complete") from None
        if der.startswith(ED25519) and len(der) == len(ED25519) + 32:
            return cls(Algorithm.ED25519, base64.b64encode(der[len(ED25519) :]))
        if _bits(der) < SHORTEST:
            raise ValueError(f"an RSA key must have at least {SHORTEST} bits")
        lines = base64.encodebytes(der)
        return cls(Algorithm.RSA, b"-----BEGIN KEY-----\n" + lines + b"-----END KEY-----\n")


def _bits(der: bytes) -> int:
    try:
        return int(parse_private_key(der)["modulus"].bit_length())
    except (UnparsableKeyError, LookupError, TypeError, ValueError, AttributeError):
        raise ValueError("it must be a key of RSA or Ed25519") from None


def parse_name(text: str) -> str:
    """Check a domain or a selector. Raises ValueError."""
    if len(text) > 253 or not NAME.fullmatch(text):
        raise ValueError("it must be a name in the DNS, in ASCII")
    return text


@dataclass(frozen=True)
class Signer:
    """Signs as ``domain``. The public key is found at ``<selector>._domainkey.<domain>``."""

    selector: str
    domain: str
    key: Key

    def sign(self, content: bytes) -> bytes:
        """Return a mail with a signature before its headers. Its lines end with CRLF."""
        signature: bytes = dkim.sign(
            content,
            self.selector.encode(),
            self.domain.encode(),
            self.key.secret,
            canonicalize=(b"relaxed", b"relaxed"),
            signature_algorithm=self.key.algorithm.encode(),
            include_headers=[name.encode() for name in SIGNED],
        )
        return signature + content
