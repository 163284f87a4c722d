"""Paths without spaces, quotes and other special characters.

Scripts of RabbitMQ and Erlang do not quote their paths. A path in a list such as PATH cannot have a
colon.
"""

import hashlib
import os
import pwd
import re
import stat
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from local.errors import LocalError

FOLDERS = (
    f"{pwd.getpwuid(os.geteuid()).pw_dir}/.cache/warren",
    f"/tmp/warren-{os.geteuid()}",  # noqa: S108 -- checked to be ours
)
PLAIN = re.compile(r"[A-Za-z0-9._+-]+|/")


def plain_path(path: Path) -> Path:
    """Return the path itself, or one that leads to it by a link. Raises LocalError.

    The same path gets the same link each time, because servers store the paths of their files.
    """
    odd = [number for number, part in enumerate(path.parts) if not PLAIN.fullmatch(part)]
    if not odd:
        return path
    end = odd[-1] + 1
    return _link_to(Path(*path.parts[:end])).joinpath(*path.parts[end:])


def _link_to(target: Path) -> Path:
    folder = _folder_of_links()
    link = folder / hashlib.sha256(os.fsencode(target)).hexdigest()[:16]
    with suppress(OSError):  # there is no link yet, or a file of another kind
        if link.readlink() == target:
            return link
    for other in folder.iterdir():
        if other.is_symlink() and not other.exists():  # its checkout is gone
            other.unlink(missing_ok=True)
    partial = folder / uuid4().hex
    partial.symlink_to(target)
    partial.replace(link)
    return link


def _folder_of_links() -> Path:
    """Return a folder that no other user can change. Raises LocalError."""
    for folder in map(Path, FOLDERS):
        if all(PLAIN.fullmatch(part) for part in folder.parts) and _make_private(folder):
            return folder
    raise LocalError(
        "RabbitMQ cannot run below a path with spaces or other special characters, and a link to "
        f"it cannot be put into {' or '.join(FOLDERS)}, which has to be a folder that only you "
        "can change. Move the checkout."
    )


def _make_private(folder: Path) -> bool:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return False
    others_may_write = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not others_may_write
