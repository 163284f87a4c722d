"""How `make scale compute=3` reaches the `make up` of another terminal: by small files."""

import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from local.errors import LocalError

ANSWER_SECONDS = 10.0
MOST = 64
MOST_CHARACTERS = 10_000  # of a request
EXAMPLE = "Example: make scale compute=3"


def parse_counts(arguments: Iterable[str]) -> dict[str, int]:
    """Read `compute=3 mailer=2`."""
    counts = {}
    for argument in arguments:
        name, _, count = argument.partition("=")
        if not count.isdecimal() or len(count) > len(str(MOST)) or int(count) > MOST:
            raise LocalError(
                f"{argument[:80]!r} is not understood: write how many of which process there "
                f"shall be, at most {MOST}. {EXAMPLE}"
            )
        counts[name] = int(count)
    if not counts:
        raise LocalError(f"Which process, and how many? {EXAMPLE}")
    return counts


class ScaleRequests:
    """Each command asks by a file of its own, and `up` answers beside it with what is against it.

    `state` shows the effect.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "scale"
        self.state = folder / "processes.json"

    def ask(self, counts: Mapping[str, int]) -> None:
        """Ask, and wait for the answer. Raises LocalError if it is a refusal or does not come."""
        request = self._folder / f"{uuid4().hex}.request"
        answer = request.with_suffix(".answer")
        deadline = time.monotonic() + ANSWER_SECONDS
        try:
            _write_whole(request, json.dumps(counts))
            while not answer.exists():
                if time.monotonic() > deadline:
                    raise LocalError(
                        f"`make up` has not answered for {ANSWER_SECONDS:.0f} s: wait until it has "
                        "started (see its terminal), and ask again."
                    )
                time.sleep(0.1)
            if refusal := answer.read_text():
                raise LocalError(refusal)
        finally:
            request.unlink(missing_ok=True)
            answer.unlink(missing_ok=True)

    def serve(self, scale: Callable[[Mapping[str, int]], None]) -> None:
        """Do what was asked for since the last time; who cannot be served is told why."""
        for request in sorted(self._folder.glob("*.request")):
            refusal = ""
            try:
                scale(_read(request))
            except LocalError as error:
                refusal = str(error)
            except OSError as error:  # no memory or no processes left, for one
                refusal = f"`make up` could not do it: {error}"
            with suppress(OSError):  # who asked has gone, or finds no answer
                request.unlink()
                _write_whole(request.with_suffix(".answer"), refusal)

    def running(self) -> Counter[str]:
        """How many of each process run or are about to be started, as `up` last wrote it."""
        return Counter(name.rpartition(".")[0] for name in self._pids())

    def waiting(self) -> Counter[str]:
        """How many of them have died and are about to be started again."""
        pids = self._pids().items()
        return Counter(name.rpartition(".")[0] for name, pid in pids if pid is None)

    def clear(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        self.state.unlink(missing_ok=True)

    def _pids(self) -> dict[str, int | None]:
        found: dict[str, int | None] = (
            json.loads(self.state.read_text()) if self.state.exists() else {}
        )
        return found


def _read(request: Path) -> dict[str, int]:
    with request.open(errors="replace") as file:
        text = file.read(MOST_CHARACTERS)
    try:
        counts = json.loads(text)
    except (ValueError, RecursionError):
        counts = None
    if not isinstance(counts, dict) or not all(map(_is_count, counts.values())):
        raise LocalError(
            "`make up` does not understand this request: it takes how many of which process there "
            f"shall be, at most {MOST}. {EXAMPLE}"
        )
    return counts


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= MOST


def _write_whole(path: Path, text: str) -> None:
    """Write a file that is never seen half-written."""
    path.parent.mkdir(exist_ok=True)
    partial = path.with_suffix(f"{path.suffix}-partial")
    partial.write_text(text)
    partial.rename(path)
