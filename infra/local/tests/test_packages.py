from pathlib import Path

import pytest

from local.servers.packages import needed
from local.servers.programs import find_postgresql, find_rabbitmq


def test_a_family_is_unpacked_whole_and_libraries_only_if_missing() -> None:
    dependencies = ["rabbitmq-server", "erlang-base", "postgresql-15", "postgresql-client-15"]
    libraries = ["libssl3", "libtinfo6", "libstdc++6", "libldap-2.5-0"]
    assert needed([*dependencies, *libraries], installed={"erlang-base", "libtinfo6"}) == [
        *dependencies,
        "libssl3",
        "libstdc++6",
        "libldap-2.5-0",
    ]


@pytest.mark.parametrize(
    "name",
    [
        *("adduser", "logrotate", "postgresql", "postgresql-common", "libllvm14", "libjson-perl"),
        *("python3", "libpython3.11-stdlib", "perl-modules-5.36", "libperl5.36", "tzdata"),
    ],
)
def test_what_serves_only_the_installation_is_left_out(name: str) -> None:
    assert needed([name], installed=set()) == []


def test_the_newest_postgresql_that_has_a_server_is_found(tmp_path: Path) -> None:
    for version, names in {
        "9": ("initdb", "postgres"),
        "16": ("initdb", "postgres"),
        "17": (),
    }.items():
        folder = tmp_path / "usr/lib/postgresql" / version / "bin"
        folder.mkdir(parents=True)
        for name in names:
            (folder / name).touch()
    found = find_postgresql(tmp_path)
    assert found is not None
    assert found.programs.parent.name == "16"


def test_a_postgresql_that_is_too_old_counts_as_none(tmp_path: Path) -> None:
    folder = tmp_path / "usr/lib/postgresql/13/bin"
    folder.mkdir(parents=True)
    (folder / "initdb").touch()
    (folder / "postgres").touch()
    assert find_postgresql(tmp_path) is None


def test_rabbitmq_without_erlang_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / "usr/lib/rabbitmq/lib/rabbitmq_server-3.10.8").mkdir(parents=True)
    assert find_rabbitmq(tmp_path) is None
