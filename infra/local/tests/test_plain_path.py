import os
import pwd
from pathlib import Path

import pytest

from local.errors import LocalError
from local.servers import plain_path as plain_paths
from local.servers.plain_path import PLAIN, plain_path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands for the user's own, where links are put."""
    monkeypatch.setattr(plain_paths, "FOLDERS", (f"{tmp_path}/home", f"{tmp_path}/second"))
    return tmp_path / "home"


def test_a_plain_path_stays_as_it_is(home: Path) -> None:
    path = Path("/srv/warren-1.0_rc+1/.local")
    assert plain_path(path) == path
    assert not home.exists()


@pytest.mark.parametrize(
    "odd", ["a b", "it's", 'a"b', "$HOME", "Bücher", "a:b", "a;b", "a\nb", "~"]
)
def test_an_odd_path_is_reached_by_a_plain_one(tmp_path: Path, home: Path, odd: str) -> None:
    path = tmp_path / odd / "warren/.local"
    found = plain_path(path / "rabbitmq")
    assert all(PLAIN.fullmatch(part) for part in found.parts)
    path.mkdir(parents=True)
    (path / "rabbitmq").write_text("hello")
    assert found.read_text() == "hello"
    assert plain_path(path / "rabbitmq") == found, "servers write down where their files are"
    assert plain_path(path / "packages").parent == found.parent, "one link serves all"


def test_different_paths_have_different_links(tmp_path: Path, home: Path) -> None:
    assert plain_path(tmp_path / "a b/x") != plain_path(tmp_path / "a  b/x")


def test_links_to_what_is_gone_go_when_a_new_one_is_made(tmp_path: Path, home: Path) -> None:
    (tmp_path / "is there").mkdir()
    stays, gone = plain_path(tmp_path / "is there"), plain_path(tmp_path / "is gone")
    new = plain_path(tmp_path / "is new")
    assert set(home.iterdir()) == {stays, new}
    assert gone != new


def test_what_stands_in_the_place_of_a_link_is_replaced(tmp_path: Path, home: Path) -> None:
    link = plain_path(tmp_path / "a b")
    link.unlink()
    link.symlink_to("/elsewhere")
    assert plain_path(tmp_path / "a b") == link
    assert link.readlink() == tmp_path / "a b"


def test_a_folder_that_others_may_change_is_passed_over(tmp_path: Path, home: Path) -> None:
    home.mkdir()
    home.chmod(0o777)
    assert plain_path(tmp_path / "a b").parent == tmp_path / "second"
    (tmp_path / "second").rename(tmp_path / "moved")
    (tmp_path / "second").symlink_to("moved")
    with pytest.raises(LocalError, match="Move the checkout"):
        plain_path(tmp_path / "a b")


def test_links_lie_below_the_users_home_if_that_is_plain() -> None:
    home = pwd.getpwuid(os.geteuid()).pw_dir
    assert plain_paths.FOLDERS[0].startswith(home)
