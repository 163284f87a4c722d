"""The programs of RabbitMQ and PostgreSQL: installed, or unpacked from the distribution's packages.

Unpacking needs no root and does not change the system: no service is started or configured.
"""

import fcntl
import re
import shutil
import subprocess
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import TypeVar

from local.errors import LocalError
from local.servers.apt import Apt, Report
from local.servers.plain_path import plain_path
from local.servers.programs import PostgreSQL, RabbitMQ, find_postgresql, find_rabbitmq

Programs = TypeVar("Programs", RabbitMQ, PostgreSQL, Path)

SYSTEM = Path("/")
# Of a server package's dependencies only its own programs and shared libraries are needed. The rest
# serves installation scripts. Installed and unpacked parts of one family do not work together, so a
# family is unpacked as a whole.
FAMILY = re.compile(r"rabbitmq-server|erlang-.*|postgresql(-client)?-\d+|libfaketime")
LIBRARY = re.compile(r"lib(?!python|perl|llvm|pam-|semanage|.*-perl$)[a-z0-9.+-]*\d[a-z0-9.+-]*")
# Debian's PostgreSQL reads time zones only from the system's folder.
TIME_ZONES = Path("/usr/share/zoneinfo/UTC")

RELOCATABLE_ERL = """\
#!/bin/sh
# Debian's script names /usr/lib/erlang; this one finds the Erlang that it lies in.
ROOTDIR=$(cd "$(dirname "$0")/.." && pwd)
BINDIR=$(echo "$ROOTDIR"/erts-*/bin)
EMU=beam
PROGNAME=erl
export ROOTDIR BINDIR EMU PROGNAME
exec "$BINDIR/erlexec" "$@"
"""
DELEGATING_ERL = """\
#!/bin/sh
exec "$(dirname "$0")/../../bin/erl" "$@"
"""


def rabbitmq(folder: Path, report: Report, *, unpack: bool = False) -> RabbitMQ:
    """Find RabbitMQ, or unpack it below `folder`; `unpack` ignores an installed one."""
    return obtain("rabbitmq-server", folder / "rabbitmq", find_rabbitmq, report, unpack)


def postgresql(folder: Path, report: Report, *, unpack: bool = False) -> PostgreSQL:
    """Find PostgreSQL, or unpack it below `folder`; `unpack` ignores an installed one."""
    programs = obtain("postgresql", folder / "postgresql", find_postgresql, report, unpack)
    if not TIME_ZONES.exists():
        raise LocalError(
            "PostgreSQL needs the system's time zones: run `apt-get install tzdata` as root."
        )
    return programs


def needed(dependencies: Iterable[str], installed: Collection[str]) -> list[str]:
    """Choose the packages to unpack among a server's dependencies."""
    return [
        name
        for name in dependencies
        if FAMILY.fullmatch(name) or (LIBRARY.fullmatch(name) and name not in installed)
    ]


def obtain(
    package: str,
    folder: Path,
    find: Callable[[Path], Programs | None],
    report: Report,
    unpack: bool = False,
) -> Programs:
    """Find a package's programs, or unpack it to `folder`; `unpack` ignores an installed one.

    Raises LocalError if `find` does not find them even then.
    """
    folder = plain_path(folder)
    found = (None if unpack else find(SYSTEM)) or find(folder)
    if found is None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with (folder.parent / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # tests and `make up` may begin at the same time
            if not folder.exists():
                _unpack(package, folder, report)
        found = find(folder)
    if found is None:
        raise LocalError(
            f"The package {package} of this distribution is too old or laid out in an unknown way. "
            f"Install {package} yourself, or use `docker compose up --wait`."
        )
    return found


def _unpack(package: str, folder: Path, report: Report) -> None:
    apt = Apt(folder.with_name("apt"), report)
    partial = folder.with_name(f"{folder.name}-partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    report(f"{package} is not installed: unpacking the distribution's package (once; no root)")
    wanted = needed(apt.dependencies(package), apt.installed())
    for archive in apt.download(wanted):
        subprocess.run(["dpkg-deb", "--extract", archive, partial], check=True)
    for erl in partial.glob("usr/lib/erlang/**/bin/erl"):
        _relocate(erl)
    partial.rename(folder)  # so `folder` is always complete
    apt.clean()


def _relocate(erl: Path) -> None:
    beside_emulator = erl.parent.parent.name.startswith("erts-")  # RabbitMQ calls this copy
    erl.write_text(DELEGATING_ERL if beside_emulator else RELOCATABLE_ERL)
