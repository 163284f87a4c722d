"""A Compose project of its own, made from the checkout as a user would."""

import json
import os
import subprocess
import uuid
from pathlib import Path
from typing import Any

from local.ports import free_ports

CHECKOUT = Path(__file__).parents[2]
PORTS = ("WEB_PORT", "FLOWER_PORT", "RABBITMQ_MANAGEMENT_PORT", "MAILPIT_PORT")
# No more of the test run's environment, which holds settings of Warren that are not the user's.
INHERITED = ("PATH", "HOME", "XDG_RUNTIME_DIR")


class Composition:
    """Containers, network and volumes of one project; `down` leaves nothing of them."""

    def __init__(self) -> None:
        self.project = f"warren-test-{uuid.uuid4().hex[:8]}"
        self.ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
        self._environment = {
            **{name: os.environ[name] for name in INHERITED if name in os.environ},
            **{name: value for name, value in os.environ.items() if name.startswith("DOCKER_")},
            **{name: str(port) for name, port in self.ports.items()},
        }

    def compose(self, *arguments: str) -> str:
        """Run ``docker compose`` for this project, without the checkout's .env."""
        project = ("--project-name", self.project, "--env-file", os.devnull)
        return self.docker("compose", *project, "--ansi", "never", *arguments)

    def docker(self, *arguments: str) -> str:
        """Run ``docker``; what it prints. Its messages are in the error if it fails."""
        done = subprocess.run(
            ["docker", *arguments],
            cwd=CHECKOUT,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"docker {' '.join(arguments)}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def containers(self, service: str) -> list[str]:
        """Ids of a service's running containers."""
        return self.compose("ps", "--quiet", service).split()

    def inspect(self, container: str) -> dict[str, Any]:
        """All that Docker knows about a container."""
        found: list[dict[str, Any]] = json.loads(self.docker("inspect", container))
        return found[0]

    def down(self) -> None:
        """Remove everything, also the images that were built."""
        self.compose("down", "--volumes", "--rmi", "local")

    def remains(self) -> list[str]:
        """Ids of all that still carries the project's label."""
        label = f"label=com.docker.compose.project={self.project}"
        return [
            *self.docker("container", "ls", "--all", "--quiet", "--filter", label).split(),
            *self.docker("volume", "ls", "--quiet", "--filter", label).split(),
            *self.docker("network", "ls", "--quiet", "--filter", label).split(),
            *self.docker("image", "ls", "--quiet", "--filter", label).split(),
        ]


def missing_daemon() -> str:
    """Say why containers cannot be run here; nothing if they can."""
    try:
        subprocess.run(["docker", "compose", "version"], capture_output=True, check=True)
        subprocess.run(["docker", "info"], capture_output=True, check=True)
    except FileNotFoundError:
        return "docker is not installed"
    except subprocess.CalledProcessError as error:
        return error.stderr.decode().strip() or "docker does not answer"
    return ""
