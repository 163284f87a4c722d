"""Containers of the checkout, started once for all tests."""

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from . import client, engine
from .composition import Composition


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[None]:
    """Use the machine's Docker, or else the one that a script provides."""
    reason, provider = engine.unavailable(), os.environ.get(engine.PROVIDER, "")
    if reason and not provider:
        pytest.skip(f"needs a Docker daemon and Compose, or {engine.PROVIDER}: {reason}")
    if not reason:
        yield
        return
    engine.start(provider)
    try:
        yield
    finally:
        engine.stop(provider)


@pytest.fixture(scope="session")
def composition(
    docker_engine: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Composition]:
    """Build and start everything; afterwards remove it and look whether anything is left."""
    project = Composition(tmp_path_factory.mktemp("compose"))
    try:
        project.compose("up", "--build", "--wait", "--wait-timeout", "300")
        yield project
    finally:
        project.down()
    assert project.remains() == []


@pytest.fixture(scope="session")
def user(composition: Composition) -> Iterator[client.User]:
    """A user whose address is verified."""
    ada = client.User(composition)
    try:
        ada.sign_up()
        yield ada
    finally:
        ada.close()


@pytest.fixture
def visitor(composition: Composition) -> Iterator[httpx.Client]:
    """A browser without a session."""
    with client.browser(composition) as http:
        yield http


@pytest.fixture(scope="session")
def operator(composition: Composition) -> Iterator[httpx.Client]:
    """A browser in which a member of the staff has signed in."""
    with client.browser(composition) as http:
        client.enter_administration(composition, http)
        yield http


@pytest.fixture
def secrets_folder(composition: Composition, tmp_path: Path) -> Path:
    """A copy of the secrets, to be spoilt."""
    return composition.other_secrets(tmp_path.name)
