"""What `.env` says is what containers are told."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local import env_file

from .composition import CHECKOUT, inherited

pytestmark = pytest.mark.compose
VALUES = st.from_regex(env_file.PLAIN, fullmatch=True).filter(
    lambda value: value.isprintable() and value == value.lstrip()
)


def environment(folder: Path, lines: str, compose: Path, service: str) -> dict[str, str | None]:
    """Ask Compose what it would tell the processes of a service, if `.env` had these lines."""
    (folder / ".env").write_text(lines)
    command = [
        *("docker", "compose", "--file", str(compose), "--env-file", str(folder / ".env")),
        *("config", "--format", "json"),
    ]
    ended = subprocess.run(command, env=inherited(), capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    told: dict[str, Any] = json.loads(ended.stdout)["services"][service]["environment"]
    # Compose writes so that it could read it again.
    return {name: value and value.replace("$$", "$") for name, value in told.items()}


def test_a_setting_reaches_the_processes(docker_engine: None, tmp_path: Path) -> None:
    compose = CHECKOUT / "docker-compose.yml"
    for service in ("relay", "mailer", "tasks"):
        lines = "COMPOSE_PROJECT_NAME=warren\nKEEP_JOBS=3\n"
        told = environment(tmp_path, lines, compose, service)
        assert told["KEEP_JOBS"] == "3"
        assert told.get("KEEP_MAILS") is None


@settings(max_examples=25)
@given(values=st.lists(VALUES, min_size=1, max_size=20))
def test_make_and_compose_read_a_line_alike(
    docker_engine: None, tmp_path: Path, values: list[str]
) -> None:
    names = [f"A{number}" for number in range(len(values))]
    compose = tmp_path / "docker-compose.yml"
    service = {"image": "none", "environment": dict.fromkeys(names)}
    compose.write_text(json.dumps({"services": {"only": service}}))
    (tmp_path / ".env.example").touch()
    lines = "".join(f"{name}={value}\n" for name, value in zip(names, values, strict=True))
    told = environment(tmp_path, lines, compose, "only")
    assert told == env_file.read_or_create(tmp_path)
