"""Who may import whom: contracts < runtime < worker < services, and no service another."""

import ast
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from contracts import topology

from .support.process import CHECKOUT

WORKERS = sorted({*topology.SERVICES} - {"tasks"})  # which is web's own code
PACKAGES = ("contracts", "runtime", "worker")  # each may import those before it
FOLDERS = {
    **{package: f"packages/{package}/src/{package}" for package in PACKAGES},
    **{worker: f"services/{worker}/src/{worker}" for worker in WORKERS},
    "web": "services/web/web",
    "local": "infra/local/src/local",
    "flower": "infra/flower",
}
OURS = set(FOLDERS) - {"flower"}  # Flower's own package has the name
MAY_IMPORT = {name: {*PACKAGES} for name in FOLDERS} | {
    **{package: {*PACKAGES[:place]} for place, package in enumerate(PACKAGES)},
    "flower": {"contracts", "runtime"},
    "local": {"contracts"},
}


def modules(name: str) -> list[Path]:
    found = (CHECKOUT / FOLDERS[name]).rglob("*.py")
    return [path for path in found if "tests" not in path.parts]


def imported(path: Path) -> set[str]:
    """Packages that a module imports, at its top or anywhere else."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module)
    return {name.partition(".")[0] for name in found}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_service_imports_no_other(name: str) -> None:
    paths = modules(name)
    assert paths
    for path in paths:
        strangers = (imported(path) & OURS) - {name} - MAY_IMPORT[name]
        assert not strangers, f"{path.relative_to(CHECKOUT)} imports {strangers}"


@pytest.mark.parametrize("package", ["contracts", "runtime"])
def test_contracts_and_runtime_work_without_celery(package: str) -> None:
    for path in modules(package):
        assert "celery" not in imported(path), path
    assert "celery" not in locked_dependencies(package)


def test_the_contracts_are_tested_without_django_and_without_a_server() -> None:
    program = """
import sys
import pytest
from tests.support.installation import installation_of_this_process

assert pytest.main(["-q", "-p", "no:cacheprovider", "packages/contracts/tests/test_tasks.py"]) == 0
assert "web.settings" not in sys.modules
assert installation_of_this_process.cache_info().currsize == 0
"""
    environment = {"PATH": os.environ["PATH"]}
    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr


def locked_dependencies(package: str) -> set[str]:
    """All that a package needs, directly or not, as uv.lock has it."""
    lock = tomllib.loads((CHECKOUT / "uv.lock").read_text())
    needs = {
        entry["name"]: {
            (needed["name"], extra)
            for needed in entry.get("dependencies", [])
            for extra in ("", *needed.get("extra", []))
        }
        for entry in lock["package"]
    }
    extras = {
        (entry["name"], extra): {(needed["name"], "") for needed in found}
        for entry in lock["package"]
        for extra, found in entry.get("optional-dependencies", {}).items()
    }
    found: set[tuple[str, str]] = set()
    waiting = {(package, "")}
    while waiting:
        name, extra = waiting.pop()
        found.add((name, extra))
        waiting |= (needs[name] | extras.get((name, extra), set())) - found
    return {name for name, _ in found}


def test_the_dependencies_of_a_package_are_found_however_deep() -> None:
    assert {"django", "celery", "kombu", "amqp", "psycopg-pool"} <= locked_dependencies("web")


@pytest.mark.parametrize("worker", WORKERS)
def test_a_worker_is_installed_without_django(worker: str) -> None:
    needed = locked_dependencies(worker)
    assert {"contracts", "celery"} <= needed
    assert not {name for name in needed if name.startswith("django")}


def test_each_worker_is_installed_without_the_others_tools() -> None:
    assert "numpy" not in locked_dependencies("mailer")
    assert not {"psycopg", "jinja2"} & locked_dependencies("compute")
    assert "django" not in locked_dependencies("contracts")
