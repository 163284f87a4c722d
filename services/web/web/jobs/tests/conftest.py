"""A user who may submit the computation ``add``, and their client of the API."""

import pytest
from rest_framework.test import APIClient

from web.accounts.models import User
from web.jobs.models import Computation
from web.jobs.tests.factories import client_of, make_computation, make_user


@pytest.fixture
def computation() -> Computation:
    return make_computation()


@pytest.fixture
def user(computation: Computation) -> User:
    return make_user()


@pytest.fixture
def client(user: User) -> APIClient:
    return client_of(user)
