"""Small files by which `make scale` and `make restart` reach `make up` in another terminal."""

import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from local.errors import LocalError
from local.run.process_names import kind, select

ANSWER_SECONDS = 10.0
RESTART_SECONDS = 45.0  # more than the supervisor gives a process to stop
POLL_SECONDS = 0.1
MOST = 64
MOST_CHARACTERS = 10_000  # of a request
EXAMPLE = "Example: make scale compute=3"


def parse_counts(arguments: Iterable[str]) -> dict[str, int]:
    """Read arguments such as `compute=3 mailer=2`. Raises LocalError."""
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


class Servant(Protocol):
    """The supervisor, which carries requests out. Its methods raise LocalError to refuse one."""

    def scale(self, counts: Mapping[str, int]) -> None: ...

    def restart(self, names: Collection[str]) -> None: ...


class Requests:
    """Each command writes a request file, and `up` an answer file beside it.

    The answer is empty, or says why the request is refused. The file `state` shows the effect.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "requests"
        self.state = folder / "processes.json"

    def scale(self, counts: Mapping[str, int]) -> None:
        """Ask for these numbers of processes. Raises LocalError for a refusal, or no answer."""
        self._ask({"scale": counts})

    def restart(self, names: Sequence[str], say: Callable[[str], None]) -> None:
        """Ask for new processes, and wait for them. Raises LocalError if they do not come."""
        before = self.processes()
        self._ask({"restart": names})
        missing = {name: before[name] for name in select(names, before)}
        say(f"restarting {', '.join(missing)}, when what is running has ended, or after 30 s")
        deadline = time.monotonic() + RESTART_SECONDS
        while missing:
            if not self.state.exists():
                raise LocalError("`make up` has ended meanwhile.")
            if time.monotonic() > deadline:
                raise LocalError(
                    f"{', '.join(missing)} not started again after {RESTART_SECONDS:.0f} s: "
                    f"`make logs {next(iter(missing))}` shows why."
                )
            now = self.processes()
            for name, old in list(missing.items()):
                if name not in now:
                    raise LocalError(f"{name} was scaled away meanwhile.")
                if now[name] not in (None, old):
                    say(f"{name} started again (process {now[name]})")
                    del missing[name]
            time.sleep(POLL_SECONDS)

    def _ask(self, asked: Mapping[str, object]) -> None:
        request = self._folder / f"{uuid4().hex}.request"
        answer = request.with_suffix(".answer")
        deadline = time.monotonic() + ANSWER_SECONDS
        try:
            _write_whole(request, json.dumps(asked))
            while not answer.exists():
                if time.monotonic() > deadline:
                    raise LocalError(
                        f"`make up` has not answered for {ANSWER_SECONDS:.0f} s: wait until it has "
                        "started (see its terminal), and ask again."
                    )
                time.sleep(POLL_SECONDS)
            if refusal := answer.read_text():
                raise LocalError(refusal)
        finally:
            request.unlink(missing_ok=True)
            answer.unlink(missing_ok=True)

    def serve(self, servant: Servant) -> None:
        """Carry out the requests that have come since the last call, and answer each."""
        for request in sorted(self._folder.glob("*.request")):
            refusal = ""
            try:
                _do(_read(request), servant)
            except LocalError as error:
                refusal = str(error)
            except OSError as error:  # no memory or no processes left, for one
                refusal = f"`make up` could not do it: {error}"
            with suppress(OSError):  # the asker has gone, or times out without an answer
                request.unlink()
                _write_whole(request.with_suffix(".answer"), refusal)

    def processes(self) -> dict[str, int | None]:
        """Return the pid of each process of the run, as `up` last wrote it.

        None stands for a process that is about to be started again.
        """
        try:
            found: dict[str, int | None] = json.loads(self.state.read_text())
        except FileNotFoundError:
            return {}
        return found

    def running(self) -> Counter[str]:
        """Count the processes of each kind that run or are about to be started."""
        return Counter(map(kind, self.processes()))

    def waiting(self) -> Counter[str]:
        """Count the processes of each kind that are about to be started again."""
        return Counter(kind(name) for name, pid in self.processes().items() if pid is None)

    def clear(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        self.state.unlink(missing_ok=True)


def _read(request: Path) -> object:
    with request.open(errors="replace") as file:
        text = file.read(MOST_CHARACTERS)
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _do(asked: object, servant: Servant) -> None:
    match asked:
        case {"scale": dict(counts)} if all(map(_is_count, counts.values())):
            servant.scale(counts)
        case {"restart": list(names)} if all(isinstance(name, str) for name in names):
            servant.restart(names)
        case _:
            raise LocalError(
                "`make up` does not understand this request: it takes which processes to restart, "
                f"or how many of which there shall be, at most {MOST}. {EXAMPLE}"
            )


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= MOST


def _write_whole(path: Path, text: str) -> None:
    """Write a file that is never seen half-written."""
    path.parent.mkdir(exist_ok=True)
    partial = path.with_suffix(f"{path.suffix}-partial")
    partial.write_text(text)
    partial.rename(path)
