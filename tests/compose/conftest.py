"""Containers of the checkout, started once for all tests."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from . import client
from .composition import Composition


@pytest.fixture(scope="session")
def docker_engine() -> None:
    """Fail at once, and say why, where no containers can be run."""
    try:
        for command in (["docker", "compose", "version"], ["docker", "info"]):
            subprocess.run(command, capture_output=True, check=True, text=True)
    except FileNotFoundError:
        pytest.fail("docker is not installed")
    except subprocess.CalledProcessError as error:
        pytest.fail(error.stderr.strip() or "docker does not answer")


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
