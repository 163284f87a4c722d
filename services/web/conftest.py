"""What all tests of web share; Django and PostgreSQL are set up by the conftest of the checkout."""

import pytest

from web.accounts.hashing import Argon2


@pytest.fixture(scope="session", autouse=True)
def _cheap_passwords() -> None:
    """Hash as always, at the lowest cost that Argon2 knows."""
    Argon2.time_cost, Argon2.memory_cost = 1, 8
