"""Ports on 127.0.0.1: whether they are free, who holds them, and free ones for tests."""

import fcntl
import os
import random
import socket
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from local.errors import LocalError

LISTENING = "0A"  # the state in /proc/net/tcp
# Below the ports that the kernel gives to outgoing connections. Otherwise such a connection could
# take the port of a server while it restarts.
CANDIDATES = range(20000, 32000)


def require_free(ports: Mapping[str, int]) -> None:
    """Raise LocalError for ports in use, not permitted or named twice.

    `ports` has the port by the name of its variable in .env.
    """
    problems = []
    for name, port in ports.items():
        others = [other for other in ports if other != name and ports[other] == port]
        if others:
            problems.append(f"{name}={port} is also the port of {others[0]}.")
        elif not _is_permitted(port):
            problems.append(
                f"{name}={port} is not permitted to this user: ports below {lowest_port()} are "
                "root's (sysctl net.ipv4.ip_unprivileged_port_start)."
            )
        elif not is_free(port):
            problems.append(f"{name}={port} is in use{_by_whom(port)}.")
    if problems:
        raise LocalError(
            "\n".join([*problems, "Choose other ports in .env, or stop the program that has them."])
        )


def is_free(port: int) -> bool:
    return _refusal(port) is None


def _is_permitted(port: int) -> bool:
    return not isinstance(_refusal(port), PermissionError)


def _refusal(port: int) -> OSError | None:
    with socket.socket() as probe:
        # As servers do: a port whose last connections are still closing can be taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return error
    return None


def lowest_port() -> int:
    """Return the lowest port that a user other than root may listen on."""
    return int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())


def free_ports(count: int) -> list[int]:
    """Choose different free ports, reserved for this process while it lives.

    Raises LocalError if there are not enough.
    """
    found: list[int] = []
    for port in random.sample(CANDIDATES, len(CANDIDATES)):
        if len(found) == count:
            return found
        if is_free(port) and _reserve(port):
            found.append(port)
    raise LocalError(f"There are no {count} free ports between 20000 and 32000.")


def _reserve(port: int) -> bool:
    """Reserve a port among this user's processes, because its server may start much later."""
    folder = Path(tempfile.gettempdir()) / f"warren-ports-{os.geteuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    claim = os.open(folder / str(port), os.O_WRONLY | os.O_CREAT)  # until this process ends
    try:
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(claim)
        return False
    return True


def _by_whom(port: int) -> str:
    """Name the program that listens, as far as this user may see it (see proc(5))."""
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    for process in Path("/proc").glob("[0-9]*"):
        if sockets & _open_files(process):
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
            return f" by process {process.name} ({command[:60]})"
    return ""


def _open_files(process: Path) -> set[str]:
    found = set()
    with suppress(OSError):  # another user's, or ended meanwhile
        for entry in (process / "fd").iterdir():
            with suppress(FileNotFoundError):  # closed meanwhile
                found.add(str(entry.readlink()))
    return found


def _listening_inodes(port: int) -> set[str]:
    inodes = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        for row in table.read_text().splitlines()[1:] if table.exists() else []:
            fields = row.split()
            if fields[1].endswith(f":{port:04X}") and fields[3] == LISTENING:
                inodes.add(fields[9])
    return inodes
