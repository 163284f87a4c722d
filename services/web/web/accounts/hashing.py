"""How passwords are hashed."""

import unicodedata

from django.contrib.auth.hashers import Argon2PasswordHasher


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
        return super().encode(_normalized(password), salt)

    def verify(self, password: str, encoded: str) -> bool:
        """Compare a password with a hash."""
        return super().verify(_normalized(password), encoded)


def _normalized(password: str) -> str:
    # One system types é as one character, another as two.
    # Source: https://pages.nist.gov/800-63-4/sp800-63b.html#passwordver
    return unicodedata.normalize("NFKC", password)
