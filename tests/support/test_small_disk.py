import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from local.errors import LocalError
from local.ports import free_ports
from local.servers import packages
from local.servers.database import Database, DatabaseSettings, Role

from .polling import poll
from .small_disk import SmallDisk, small_disk

PACKAGES = Path(__file__).parents[2] / ".local/packages"
OPTIONS = {"min_wal_size": "32MB", "max_wal_size": "48MB"}

takes_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")


@pytest.fixture
def database(tmp_path: Path) -> Database:
    settings = DatabaseSettings(tmp_path, free_ports(1)[0], (Role("first", "secret"),), OPTIONS)
    return Database(settings, packages.postgresql(PACKAGES, print))


@pytest.fixture
def disk(database: Database) -> Iterator[SmallDisk]:
    """A small disk with a running cluster on it."""
    with small_disk(database.data, megabytes=100) as disk:
        try:
            database.start()
            yield disk
        finally:
            disk.free()
            database.stop()


@pytest.fixture
def connection(database: Database, disk: SmallDisk) -> psycopg.Connection:
    opened = psycopg.connect(database.settings.url("first"), autocommit=True)
    opened.execute("CREATE TABLE content AS SELECT repeat('x', 1000) FROM generate_series(1, 100)")
    return opened


def count(connection: psycopg.Connection) -> int:
    [rows] = connection.execute("SELECT count(*) FROM content").fetchone() or (0,)
    return int(rows)


@takes_root
def test_a_full_disk_refuses_new_data_and_serves_what_there_is(
    disk: SmallDisk, connection: psycopg.Connection
) -> None:
    disk.fill()
    with pytest.raises(psycopg.errors.DiskFull):
        connection.execute("INSERT INTO content SELECT * FROM content")
    assert count(connection) == 100
    disk.free()
    connection.execute("INSERT INTO content SELECT * FROM content")
    assert count(connection) == 200
    connection.close()


@takes_root
def test_a_cluster_that_can_write_no_log_ends_and_recovers_when_there_is_space(
    database: Database, disk: SmallDisk, connection: psycopg.Connection
) -> None:
    disk.fill()
    with pytest.raises(psycopg.OperationalError):
        fill_the_log(connection)
    poll(lambda: not database.running, what="end of the cluster")
    with pytest.raises(LocalError, match="No space left on device"):
        database.start()
    disk.free()
    database.start()
    with psycopg.connect(database.settings.url("first")) as again:
        assert count(again) == 100


def fill_the_log(connection: psycopg.Connection) -> None:
    """Write more than PostgreSQL keeps of its log (WAL), and nothing else."""
    for _ in range(2000):
        connection.execute("SELECT pg_logical_emit_message(false, 'ballast', repeat('x', 100000))")


def test_the_machines_own_disk_is_not_filled(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="no disk of its own"):
        SmallDisk(tmp_path).fill()
