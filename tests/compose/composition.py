"""A Compose project of its own, made from the checkout as a user would."""

import json
import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

from local.ports import free_ports

CHECKOUT = Path(__file__).parents[2]
PORTS = ("WEB_PORT", "TLS_PORT")
# No more of the test run's environment, which holds settings of Warren that are not the user's.
INHERITED = ("PATH", "HOME", "XDG_RUNTIME_DIR")
# Versions other than the pinned ones.
VERSIONS = ("MAILPIT_VERSION", "NGINX_VERSION", "PYTHON_VERSION", "RABBITMQ_VERSION")
# What .env says in development, and short patience with what is to be interrupted.
SETTINGS = {"COMPOSE_PROFILES": "dev", "WARREN_ENVIRONMENT": "development", "SHUTDOWN_TIMEOUT": "3"}


def inherited(*others: str) -> dict[str, str]:
    """The variables that `docker` needs, with others if they are set."""
    names = {*INHERITED, *others}
    return {
        name: value
        for name, value in os.environ.items()
        if name in names or name.startswith("DOCKER_")
    }


class Composition:
    """Containers, networks and volumes of one project; `down` leaves nothing of them."""

    def __init__(self, directory: Path) -> None:
        self.project = f"warren-test-{uuid.uuid4().hex[:8]}"
        self.ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
        self.secrets = directory / "secrets"
        self.create_secrets()
        self._environment = {
            **inherited(*VERSIONS),
            **{name: str(port) for name, port in self.ports.items()},
            **SETTINGS,
        }

    @property
    def url(self) -> str:
        """Where the proxy answers."""
        return f"http://127.0.0.1:{self.ports['WEB_PORT']}"

    def create_secrets(self, *rotate: str) -> None:
        """Do what ``make secrets`` does, in a folder of this project."""
        program, users = "infra/secrets/create_secrets.py", "infra/rabbitmq/definitions.json"
        command = [sys.executable, program, str(self.secrets), users, *rotate]
        subprocess.run(command, cwd=CHECKOUT, check=True)

    def other_secrets(self, name: str) -> Path:
        """Make a copy of the secrets, to be spoilt; `compose` takes its path."""
        return shutil.copytree(self.secrets, self.secrets.with_name(name))

    def secret(self, name: str) -> str:
        """Read a secret."""
        return (self.secrets / name).read_text()

    def compose(self, *arguments: str, secrets: Path | None = None) -> str:
        """Run ``docker compose`` for this project, without the checkout's .env."""
        done = self.try_compose(*arguments, secrets=secrets)
        assert done.returncode == 0, f"compose {arguments}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def try_compose(
        self, *arguments: str, secrets: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run ``docker compose``, whether or not it succeeds."""
        project = ("--project-name", self.project, "--env-file", os.devnull)
        folder = {"SECRETS": str(secrets or self.secrets)}
        return self._run("compose", *project, "--ansi", "never", *arguments, **folder)

    def docker(self, *arguments: str) -> str:
        """Run ``docker``; what it prints. Its messages are in the error if it fails."""
        done = self._run(*arguments)
        assert done.returncode == 0, f"docker {arguments}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def _run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["docker", *arguments],
            cwd=CHECKOUT,
            env=self._environment | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def services(self) -> list[str]:
        """Names of all services."""
        return sorted(self.compose("config", "--services").split())

    def services_with(self, secret: str) -> set[str]:
        """Names of the services that are given a secret."""
        services = json.loads(self.compose("config", "--format", "json"))["services"]
        return {
            name
            for name, service in services.items()
            if any(each["source"] == secret for each in service.get("secrets", ()))
        }

    def containers(self, service: str) -> list[str]:
        """Ids of a service's running containers."""
        return self.compose("ps", "--quiet", service).split()

    def run_in(self, service: str, *command: str) -> str:
        """Run a program in a service's container; what it prints."""
        return self.compose("exec", "-T", service, *command)

    def python_in(self, service: str, program: str) -> str:
        """Run Python in a service's container; what it prints."""
        return self.run_in(service, "python", "-c", program).strip()

    def inspect(self, thing: str) -> dict[str, Any]:
        """All that Docker knows about a container, an image or a network."""
        found: list[dict[str, Any]] = json.loads(self.docker("inspect", thing))
        return found[0]

    def down(self) -> None:
        """Remove everything, also the images that were built."""
        self.compose("down", "--volumes", "--remove-orphans", "--rmi", "local")

    def remains(self) -> list[str]:
        """All that still carries the project's label or name."""
        label = f"label=com.docker.compose.project={self.project}"
        named = f"reference={self.project}-*"
        return [
            *self.docker("container", "ls", "--all", "--quiet", "--filter", label).split(),
            *self.docker("volume", "ls", "--quiet", "--filter", label).split(),
            *self.docker("network", "ls", "--quiet", "--filter", label).split(),
            *self.docker("image", "ls", "--quiet", "--filter", named).split(),
        ]
