import shutil
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from local.ports import free_ports
from local.servers import packages
from local.servers.database import Database, DatabaseSettings, Role

PACKAGES = Path(__file__).parents[3] / ".local/packages"


@pytest.fixture
def database(own_database: Database) -> Database:
    own_database.start()
    return own_database


def connect(url: str) -> psycopg.Connection:
    return psycopg.connect(url, autocommit=True, connect_timeout=2)


def test_each_role_has_a_database_of_its_own(database: Database) -> None:
    with connect(database.settings.url("first")) as connection:
        connection.execute("CREATE TABLE mine (id int)")
        connection.execute("DROP TABLE mine")


def test_no_role_may_connect_to_the_database_of_another(database: Database) -> None:
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        connect(database.settings.url("first", "second"))


def test_a_commit_survives_the_kill_of_the_server(database: Database) -> None:
    with connect(database.settings.url("first")) as connection:
        connection.execute("CREATE TABLE survivor AS SELECT 42 AS answer")
    database.kill()
    assert not database.running
    database.start()
    with connect(database.settings.url("first")) as connection:
        assert connection.execute("SELECT answer FROM survivor").fetchone() == (42,)
        connection.execute("DROP TABLE survivor")


def test_a_commit_survives_an_immediate_stop_by_recovery(database: Database) -> None:
    with connect(database.settings.url("first")) as connection:
        connection.execute("CREATE TABLE recovered AS SELECT 42 AS answer")
    database.stop_immediately()
    assert not database.running
    database.start()
    assert "automatic recovery in progress" in database.log.read_text()
    with connect(database.settings.url("first")) as connection:
        assert connection.execute("SELECT answer FROM recovered").fetchone() == (42,)
        connection.execute("DROP TABLE recovered")


def test_writes_wait_for_the_disk(database: Database) -> None:
    with connect(database.settings.url("first")) as connection:
        assert connection.execute("SHOW fsync").fetchone() == ("on",)
        assert connection.execute("SHOW synchronous_commit").fetchone() == ("on",)


def test_a_paused_server_does_not_answer_until_it_is_resumed(database: Database) -> None:
    database.pause()
    try:
        with pytest.raises(psycopg.OperationalError, match="timeout"):
            connect(database.settings.url("first"))
    finally:
        database.resume()
    connect(database.settings.url("first")).close()


def test_a_stopped_server_starts_again(database: Database) -> None:
    database.stop()
    assert not database.running
    database.start()
    connect(database.settings.url("first")).close()


def test_a_database_can_be_copied_from_a_template(database: Database) -> None:
    original = database.create_database("original", owner="first")
    with connect(original) as connection:
        connection.execute("CREATE TABLE content AS SELECT 1 AS id")
    copy = database.create_database("copy", owner="first", template="original")
    with connect(copy) as connection:
        assert connection.execute("SELECT id FROM content").fetchone() == (1,)
        database.drop_database("copy")  # although somebody is connected
    database.drop_database("original")


def test_unpacked_programs_run_from_any_path(tmp_path: Path) -> None:
    odd = '$HOME `id` "it\'s" \\ Zoë'
    installed = packages.postgresql(PACKAGES, print)
    version, usr = installed.programs.parent, installed.programs.parents[3]
    for kind in ("lib", "share"):
        files = Path(kind, "postgresql", version.name)
        shutil.copytree(usr / files, tmp_path / odd / files)
    programs = replace(installed, programs=tmp_path / odd / installed.programs.relative_to(usr))
    settings = DatabaseSettings(tmp_path / f"{odd} data", free_ports(1)[0], (Role("one", "x"),))
    database = Database(settings, programs)
    try:
        database.start()
        connect(settings.url("one")).close()
    finally:
        database.stop()
