"""A file system of a few megabytes, to see what happens when it is full."""

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.errors import LocalError

LARGEST = 2**30
SMALLEST = 4096


class SmallDisk:
    """One that can be filled and freed again."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._ballast = directory / "ballast"

    def fill(self) -> None:
        """Take all space that is left. Raises LocalError if that is the machine's own."""
        if not self.directory.is_mount():
            raise LocalError(f"{self.directory} is no disk of its own, so it is not filled.")
        with self._ballast.open("ab") as ballast:
            size = LARGEST
            while size >= SMALLEST:
                if not _extend(ballast.fileno(), size):
                    size //= 2

    def free(self) -> None:
        """Give the space back."""
        self._ballast.unlink(missing_ok=True)


@contextmanager
def small_disk(directory: Path, megabytes: int) -> Iterator[SmallDisk]:
    """Put a disk of its own at `directory`, in memory; what it holds is gone afterwards.

    A cluster of Warren's (at `Database.data`) fits into 200 MB if its `max_wal_size` is small.
    Raises LocalError if this user may not mount: that takes root.
    """
    directory.mkdir(parents=True, exist_ok=True)
    options = f"size={megabytes}m,mode=0755"
    _run("mount", "-t", "tmpfs", "-o", options, "warren-small-disk", str(directory))
    try:
        yield SmallDisk(directory)
    finally:
        _run("umount", str(directory))


def _extend(file: int, size: int) -> bool:
    try:
        os.posix_fallocate(file, os.fstat(file).st_size, size)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return False
    return True


def _run(*command: str) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise LocalError(
            f"A small disk takes root, and a system that lets it mount; `{command[0]}` said: "
            f"{result.stderr.strip()}"
        )
