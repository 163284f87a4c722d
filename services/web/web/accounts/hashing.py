"""How passwords are hashed."""

import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager

from django.contrib.auth.hashers import Argon2PasswordHasher

from web.postgresql.pool import give_back

AT_A_TIME = 2  # hashes of one process: each fills a core and takes ``memory_cost``
_places = threading.BoundedSemaphore(AT_A_TIME)


class Argon2(Argon2PasswordHasher):
    """Argon2id with OWASP's parameters.

    Django's own take 100 MiB for each hash: a few sign-ins at a time would exhaust a small machine.
    Source: https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html
    """

    time_cost = 2
    memory_cost = 19 * 1024  # KiB
    parallelism = 1

    def encode(self, password: str, salt: str) -> str:
        """Hash a password, in the form that any keyboard's spelling of it has."""
        with _a_place():
            return super().encode(_normalized(password), salt)

    def verify(self, password: str, encoded: str) -> bool:
        """Compare a password with a hash."""
        with _a_place():
            return super().verify(_normalized(password), encoded)


@contextmanager
def _a_place() -> Iterator[None]:
    """Wait for one of few places, and leave the connection to the database to others meanwhile."""
    give_back()
    with _places:
        yield


def _normalized(password: str) -> str:
    # One system types é as one character, another as two.
    # Source: https://pages.nist.gov/800-63-4/sp800-63b.html#passwordver
    return unicodedata.normalize("NFKC", password)
