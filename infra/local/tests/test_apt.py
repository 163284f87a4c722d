import shutil
from pathlib import Path

import pytest

from local.errors import LocalError
from local.servers.apt import Apt


def test_a_system_without_apt_is_told_the_ways_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LocalError, match=r"Install both yourself.*docker compose"):
        Apt(tmp_path, print)


@pytest.mark.skipif(not shutil.which("apt-get"), reason="needs apt-get")
def test_a_failure_names_the_command_and_the_ways_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apt = Apt(tmp_path, print)
    monkeypatch.setattr(apt, "_own_lists", True)  # do not fetch lists for a package like this
    with pytest.raises(LocalError, match="install no-such-package` failed") as problem:
        apt.dependencies("no-such-package")
    assert "Check the network" in str(problem.value)
