"""Where the server programs lie, whether the system installed them or Warren unpacked them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

OLDEST_POSTGRESQL = 14
PYTHON_WITH_FAKETIME = Path(__file__).parent / "faketime"


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


def find_faketime(root: Path) -> Path | None:
    """Look for libfaketime, in its form for programs with threads, below `root`."""
    return next((root / "usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


def library_environment(libraries: tuple[Path, ...]) -> dict[str, str]:
    """What the dynamic linker needs to find unpacked libraries; nothing for installed ones."""
    return {"LD_LIBRARY_PATH": ":".join(map(str, libraries))} if libraries else {}


def wrong_clock(faketime: Path, seconds: int, environment: Mapping[str, str]) -> dict[str, str]:
    """What to change in `environment` so that a process's clock is `seconds` fast, or slow.

    Only its time of day is wrong, and that of the files that it touches; timeouts and pauses, which
    follow the monotonic clock, are not. The process has to be a program of Python's.
    """
    modules = [str(PYTHON_WITH_FAKETIME), environment.get("PYTHONPATH", "")]
    return {
        "LD_PRELOAD": str(faketime),
        "FAKETIME": f"{seconds:+d}",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
        "FAKE_UTIME": "0",  # gunicorn's workers show life by times of their own
        "PYTHONPATH": ":".join(filter(None, modules)),
    }


def _libraries(root: Path) -> tuple[Path, ...]:
    if root == Path("/"):
        return ()
    return tuple(
        folder for top in ("usr/lib", "lib") for folder in root.glob(f"{top}/*-linux-gnu*")
    )


def _version(path: Path) -> tuple[int, ...]:
    found = re.search(r"(\d+(?:\.\d+)*)(?:/bin)?$", str(path))
    return tuple(map(int, found[1].split("."))) if found else ()
