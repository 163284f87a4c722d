"""The paths of the servers' programs, whether they are installed or were unpacked by Warren."""

import re
from dataclasses import dataclass
from pathlib import Path

OLDEST_POSTGRESQL = 14


@dataclass(frozen=True)
class RabbitMQ:
    home: Path  # the folder with sbin/ and plugins/
    erlang: Path  # the folder with bin/erl
    libraries: tuple[Path, ...] = ()


@dataclass(frozen=True)
class PostgreSQL:
    programs: Path  # the folder with initdb and postgres
    libraries: tuple[Path, ...] = ()


def find_rabbitmq(root: Path) -> RabbitMQ | None:
    """Look for RabbitMQ and Erlang in the places that Debian's packages use, below `root`."""
    homes = sorted((root / "usr/lib/rabbitmq/lib").glob("rabbitmq_server-*"), key=_version)
    erlang = root / "usr/lib/erlang"
    if not homes or not (erlang / "bin/erl").exists():
        return None
    return RabbitMQ(homes[-1], erlang, _libraries(root))


def find_postgresql(root: Path) -> PostgreSQL | None:
    """Look for a PostgreSQL server in the places that Debian's packages use, below `root`."""
    for programs in sorted((root / "usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True):
        has_server = (programs / "initdb").exists() and (programs / "postgres").exists()
        if has_server and _version(programs)[:1] >= (OLDEST_POSTGRESQL,):
            return PostgreSQL(programs, _libraries(root))
    return None


def library_environment(libraries: tuple[Path, ...]) -> dict[str, str]:
    """Return the variable by which the dynamic linker finds unpacked libraries; empty for none."""
    return {"LD_LIBRARY_PATH": ":".join(map(str, libraries))} if libraries else {}


def _libraries(root: Path) -> tuple[Path, ...]:
    if root == Path("/"):
        return ()
    return tuple(
        folder for top in ("usr/lib", "lib") for folder in root.glob(f"{top}/*-linux-gnu*")
    )


def _version(path: Path) -> tuple[int, ...]:
    found = re.search(r"(\d+(?:\.\d+)*)(?:/bin)?$", str(path))
    return tuple(map(int, found[1].split("."))) if found else ()
