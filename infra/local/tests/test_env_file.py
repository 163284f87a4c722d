from pathlib import Path

import pytest

from local import env_file
from local.errors import LocalError

EXAMPLE = """\
# A secret. Example: KEY=<generated>
KEY=<generated>
OTHER_KEY=<generated>
PORT=8000
NAME="A name <a@example.org>"
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / ".env.example").write_text(EXAMPLE)
    return tmp_path


def test_the_file_is_made_from_the_example_with_secrets_of_its_own(root: Path) -> None:
    values = env_file.read_or_create(root)
    assert values["PORT"] == "8000"
    assert values["NAME"] == "A name <a@example.org>"
    assert len(values["KEY"]) >= 50
    assert values["KEY"] != values["OTHER_KEY"]
    assert "<generated>" not in values.values()


def test_only_its_owner_may_read_it(root: Path) -> None:
    env_file.read_or_create(root)
    assert (root / ".env").stat().st_mode & 0o777 == 0o600


def test_a_second_run_changes_nothing(root: Path) -> None:
    first = env_file.read_or_create(root)
    assert env_file.read_or_create(root) == first


def test_a_variable_that_the_example_gained_is_added(root: Path) -> None:
    before = env_file.read_or_create(root)
    (root / ".env.example").write_text(EXAMPLE + "NEW_KEY=<generated>\nNEW_PORT=9\n")
    after = env_file.read_or_create(root)
    assert after["NEW_PORT"] == "9"
    assert len(after["NEW_KEY"]) >= 50
    assert {name: after[name] for name in before} == before


def test_what_a_person_changed_is_kept(root: Path) -> None:
    env_file.read_or_create(root)
    path = root / ".env"
    path.write_text(path.read_text().replace("PORT=8000", "PORT=8001"))
    assert env_file.read_or_create(root)["PORT"] == "8001"


def test_a_file_that_cannot_be_read_is_refused_with_its_path(root: Path) -> None:
    (root / ".env").write_text("KEY='no end\n")
    with pytest.raises(LocalError, match=r"\.env cannot be read"):
        env_file.read_or_create(root)
