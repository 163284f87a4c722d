"""How `make scale compute=3` reaches the `make up` of another terminal: by a small file."""

import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from local.errors import LocalError

ANSWER_SECONDS = 10.0
MOST = 64


def parse_counts(arguments: Iterable[str]) -> dict[str, int]:
    """Read `compute=3 mailer=2`."""
    counts = {}
    for argument in arguments:
        name, _, count = argument.partition("=")
        if not count.isdecimal() or int(count) > MOST:
            raise LocalError(
                f"{argument!r} is not understood: write how many of which process there shall be, "
                f"at most {MOST}. Example: make scale compute=3"
            )
        counts[name] = int(count)
    if not counts:
        raise LocalError("Which process, and how many? Example: make scale compute=3")
    return counts


class ScaleRequests:
    """The file by which one command asks and `up` answers, and the state that shows the effect."""

    def __init__(self, folder: Path) -> None:
        self._request = folder / "scale.json"
        self.state = folder / "processes.json"

    def ask(self, counts: Mapping[str, int]) -> None:
        """Ask, and wait until it is so."""
        partial = self._request.with_suffix(".partial")
        partial.write_text(json.dumps(counts))
        partial.rename(self._request)
        deadline = time.monotonic() + ANSWER_SECONDS
        while any(self.running()[name] != count for name, count in counts.items()):
            if time.monotonic() > deadline:
                raise LocalError("`make up` did not answer; see its terminal.")
            time.sleep(0.1)

    def take(self) -> dict[str, int] | None:
        """What was asked since the last time, if anything."""
        try:
            counts: dict[str, int] = json.loads(self._request.read_text())
        except FileNotFoundError:
            return None
        self._request.unlink()
        return counts

    def running(self) -> Counter[str]:
        """How many of each process run or are about to be started, as `up` last wrote it."""
        return Counter(name.rpartition(".")[0] for name in self._pids())

    def waiting(self) -> Counter[str]:
        """How many of them have died and are about to be started again."""
        pids = self._pids().items()
        return Counter(name.rpartition(".")[0] for name, pid in pids if pid is None)

    def clear(self) -> None:
        self._request.unlink(missing_ok=True)
        self.state.unlink(missing_ok=True)

    def _pids(self) -> dict[str, int | None]:
        found: dict[str, int | None] = (
            json.loads(self.state.read_text()) if self.state.exists() else {}
        )
        return found
