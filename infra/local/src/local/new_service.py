"""``make service NAME=texts``: a new service of workers, with one task, ready to run."""

import json
import keyword
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from local.errors import LocalError

NAME = re.compile(r"[a-z][a-z0-9]{1,30}")
TOPOLOGY = Path("packages/contracts/src/contracts/topology.py")
CONTRACTS = Path("packages/contracts/src/contracts/tasks.py")
PYPROJECT = """\
[project]
name = "{name}"
version = "0.1.0"
description = "A worker of Warren, without Django"
requires-python = ">=3.11"
dependencies = ["contracts", "runtime", "worker"]

[tool.uv.sources]
contracts = {{ workspace = true }}
runtime = {{ workspace = true }}
worker = {{ workspace = true }}

[build-system]
requires = ["uv_build>=0.9,<0.14"]
build-backend = "uv_build"
"""
MAIN = '''\
"""``python -m {name}`` starts the worker."""

from worker.main import start

if __name__ == "__main__":
    start("{name}")
'''
APP = '''\
"""The worker's Celery application."""

from runtime.environment import Environment
from worker.app import WorkerSettings, create_app

env = Environment()
settings = WorkerSettings.read(env, concurrency=4)
env.check()
# The pool is "threads" for work that waits (HTTP, SMTP), "prefork" for work that computes.
app = create_app("{name}", settings, pool="threads", include=["{name}.tasks"])
'''
TASKS = '''\
"""The tasks that web asks for. Each calls a plain function, which can be tested without Celery."""

from contracts.tasks import {constant}, {payload}
from {name}.app import app
from {name}.words import count
from worker.task import ContractTask


@app.task(name={constant}.name, base=ContractTask, contract={constant})
def count_words(request: {payload}) -> int:
    """Count the words of a text."""
    return count(request.text)
'''
WORDS = '''\
"""Words of a text."""


def count(text: str) -> int:
    """Count what white space parts."""
    return len(text.split())
'''
TEST = '''\
"""What the service does, without a broker."""

from {name}.words import count


def test_words_are_what_white_space_parts() -> None:
    assert count("four words\\nand  more") == 4
'''
CONTRACT = '''

class {payload}(Payload, frozen=True, kw_only=True):
    """Count the words of ``text``."""

    text: str


{constant} = TaskContract("{name}.count_words", {payload}, frozenset())
'''
PROCESS = "{name}: exec python -m {name}\n"
CONTAINER = """\
  {name}:
    <<: *process
    image: ${{COMPOSE_PROJECT_NAME}}-{name}
    build:
      context: .
      dockerfile: infra/images/worker.Dockerfile
      args: {{<<: *python, SERVICE: {name}}}
    environment: *environment
    secrets:
      - {{source: {name}_broker_url, target: broker_url}}
    healthcheck: *alive
    deploy: {{resources: {{limits: {{cpus: "1", memory: 384M, pids: 64}}}}}}

"""
BROKER_URL_FILE = '  {name}_broker_url: {{file: "${{SECRETS:-./secrets}}/{name}_broker_url"}}\n'


@dataclass(frozen=True)
class Edit:
    """Text to be inserted in front of the first match of the pattern ``place`` in a file."""

    file: Path
    place: str
    text: str


def make(root: Path, name: str) -> list[Path]:
    """Make a service in a checkout, and return the files that were made or edited.

    Raises LocalError for a name that is not valid or is taken. Raises it too if the place for new
    lines is not found in a file. Nothing is written then.
    """
    _check(root, name)
    words = {"name": name, "payload": f"Count{name.title()}Words", "constant": _constant(name)}
    edited = {root / edit.file: "" for edit in _edits(words)}
    for path in edited:
        edited[path] = path.read_text(encoding="utf-8")
    for edit in _edits(words):
        edited[root / edit.file] = _insert(edited[root / edit.file], edit)
    made = {root / "services" / name / path: text for path, text in _files(words).items()}
    for path, text in {**made, **edited}.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return [*made, *edited]


def _check(root: Path, name: str) -> None:
    if not NAME.fullmatch(name) or keyword.iskeyword(name):
        raise LocalError(f"{name!r} cannot be a service: 2 to 31 small letters and digits, please.")
    if (root / "services" / name).exists():
        raise LocalError(f"There is a service {name} already.")
    if find_spec(name) is not None:
        raise LocalError(f"Python has a module {name} already: take another name.")
    if name in _taken(root):
        raise LocalError(f"The name {name} is taken, by a process, a container or a broker's user.")


def _taken(root: Path) -> set[str]:
    processes = re.findall(r"^(\w+):", (root / "Procfile").read_text(encoding="utf-8"), re.M)
    compose = (root / "docker-compose.yml").read_text(encoding="utf-8")
    definitions = json.loads((root / "infra/rabbitmq/definitions.json").read_text("utf-8"))
    users = [user["name"] for user in definitions["users"]]
    return {*processes, *re.findall(r"^  (\w+):", compose, re.M), *users}


def _constant(name: str) -> str:
    return f"COUNT_{name.upper()}_WORDS"


def _files(words: dict[str, str]) -> dict[str, str]:
    package = f"src/{words['name']}"
    texts = {
        "pyproject.toml": PYPROJECT,
        f"{package}/__init__.py": '"""The service {name}."""\n',
        f"{package}/__main__.py": MAIN,
        f"{package}/app.py": APP,
        f"{package}/tasks.py": TASKS,
        f"{package}/words.py": WORDS,
        f"{package}/py.typed": "",
        "tests/test_words.py": TEST,
    }
    return {path: text.format(**words) for path, text in texts.items()}


def _edits(words: dict[str, str]) -> list[Edit]:
    name, constant = words["name"], words["constant"]
    compose = Path("docker-compose.yml")
    return [
        Edit(TOPOLOGY, r"(?<=^SERVICES = \()", f'"{name}", '),
        Edit(CONTRACTS, r"^TASKS = \{", CONTRACT.format(**words)),
        Edit(CONTRACTS, r"(?<=for contract in \()", f"{constant}, "),
        Edit(Path("Procfile"), r"^flower:", PROCESS.format(**words)),
        Edit(compose, r"^  flower:$", CONTAINER.format(**words)),
        Edit(compose, r"^  tls_certificate:", BROKER_URL_FILE.format(**words)),
    ]


def _insert(text: str, edit: Edit) -> str:
    found = re.search(edit.place, text, re.MULTILINE)
    if found is None:
        raise LocalError(
            f"{edit.file} has no line of the form {edit.place}. Put this where it belongs:\n\n"
            f"{edit.text}\nNothing was made."
        )
    return text[: found.start()] + edit.text + text[found.start() :]
