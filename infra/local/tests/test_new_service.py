"""A service that one command makes works, and what cannot be made is left alone."""

import json
import os
import secrets
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import new_service
from local.errors import LocalError
from local.servers.broker import Broker
from tests.support.measuring import coverage_settings
from tests.support.process import CHECKOUT
from tests.support.program import Program
from tests.support.wire import Wire

EDITED = (
    "Procfile",
    "docker-compose.yml",
    "packages/contracts/src/contracts",
    "infra/rabbitmq/definitions.json",
)
ASK = "from contracts import permissions, tasks, topology; print({})"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of the files that it edits."""
    for name in EDITED:
        copy = shutil.copytree if (CHECKOUT / name).is_dir() else shutil.copy
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        copy(CHECKOUT / name, tmp_path / name)
    return tmp_path


def environment(root: Path, **more: str) -> dict[str, str]:
    folders = (root / "packages/contracts/src", root / "services/wordery/src")
    path = os.pathsep.join(map(str, folders))
    return {"PATH": os.environ["PATH"], "PYTHONPATH": path, **coverage_settings(), **more}


def python(root: Path, program: str) -> str:
    command = [sys.executable, "-c", program]
    run = subprocess.run(
        command, env=environment(root), capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


@pytest.fixture
def vhost(root: Path, broker: Broker) -> Iterator[str]:
    new_service.make(root, "wordery")
    name = f"wordery-{secrets.token_hex(4)}"
    yield broker.create_vhost(name)
    broker.delete_vhost(name)


def test_the_service_does_what_web_asks_for(root: Path, vhost: str) -> None:
    declare = "from kombu import Connection; from contracts import topology as t; "
    python(root, f"{declare} t.declare(Connection({vhost!r}))")
    task_id = str(uuid.uuid4())
    headers = {"lang": "py", "task": "wordery.count_words", "id": task_id, "root_id": task_id}
    command = [sys.executable, "-m", "wordery"]
    with (
        Program(command, root / "log", environment(root, BROKER_URL=vhost)) as worker,
        Wire.open(vhost) as wire,
    ):
        spy = wire.spy("warren.results.wordery")
        body = json.dumps([[], {"text": "four words and more"}, {}]).encode()
        wire.publish(body, "wordery.count_words", headers, correlation_id=task_id)
        worker.await_log("task done")
        assert json.loads(spy.await_copy(task_id, "success").body)["result"] == 4


def test_all_that_goes_by_services_knows_it(root: Path) -> None:
    made = new_service.make(root, "wordery")
    assert root / "services/wordery/src/wordery/app.py" in made
    assert python(
        root, ASK.format("topology.SERVICES[0], topology.task_queue('wordery').name")
    ) == ("wordery wordery")
    users = python(root, ASK.format("[u['name'] for u in permissions.definitions()['users']]"))
    assert "wordery" in users
    assert "\nwordery: exec python -m wordery\n" in (root / "Procfile").read_text()
    compose = (root / "docker-compose.yml").read_text()
    assert "\n  wordery:\n    <<: *process\n" in compose
    assert "\n  wordery_broker_url: {file: " in compose
    tested = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "services/wordery"]
    run = subprocess.run(tested, cwd=root, env=environment(root), capture_output=True, check=False)
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize(
    ("name", "why"),
    [("Wordery", "small letters"), ("te xts", "small letters"), ("", "small letters"),
     ("class", "small letters"), ("../wordery", "small letters"), ("json", "a module json already"),
     ("mailer", "a module mailer already"), ("tasks", "tasks is taken"),
     ("relay", "relay is taken"),
     ("migrate", "migrate is taken"), ("monitoring", "monitoring is taken")],
)  # fmt: skip
def test_a_name_that_cannot_be_one_is_refused(root: Path, name: str, why: str) -> None:
    with pytest.raises(LocalError, match=why):
        new_service.make(root, name)
    assert not (root / "services").exists()


def test_nothing_is_made_where_nobody_can_tell_where_its_lines_belong(root: Path) -> None:
    (root / "Procfile").write_text("web: exec true\n")
    before = (root / "docker-compose.yml").read_text()
    with pytest.raises(LocalError, match=r"Procfile has no line.*\n\nwordery: exec") as refused:
        new_service.make(root, "wordery")
    assert "Nothing was made" in str(refused.value)
    assert not (root / "services").exists()
    assert (root / "docker-compose.yml").read_text() == before


def test_a_service_is_made_once(root: Path) -> None:
    new_service.make(root, "wordery")
    with pytest.raises(LocalError, match="a service wordery already"):
        new_service.make(root, "wordery")
