"""The hash of passwords, and how many are made at a time."""

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

    Django's own parameters take 100 MiB for each hash. With them a few sign-ins at a time would
    exhaust a small machine.
    Source: https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html
    """

    time_cost = 2
    memory_cost = 19 * 1024  # KiB
    parallelism = 1

    def encode(self, password: str, salt: str) -> str:
        """Hash a password in Unicode's form NFKC, which is the same from every keyboard."""
        with _a_place():
            return super().encode(_normalized(password), salt)

    def verify(self, password: str, encoded: str) -> bool:
        """Compare a password with a hash."""
        with _a_place():
            return super().verify(_normalized(password), encoded)


@contextmanager
def _a_place() -> Iterator[None]:
    """Wait for one of the places, and give the connection to the database back meanwhile."""
    give_back()
    with _places:
        yield


def _normalized(password: str) -> str:
    # Some systems type é as one character, others as two.
    # Source: https://pages.nist.gov/800-63-4/sp800-63b.html#passwordver
    return unicodedata.normalize("NFKC", password)
