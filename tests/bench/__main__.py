"""``make bench``: what a job costs in Warren, and in the same small service on other queues."""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.support.process import CHECKOUT

from . import limits, mails, measures, report, warren
from .servers import Servers, running_servers
from .systems import QUEUES, System, WarrenTasks, running_peer, running_warren

LOCAL = CHECKOUT / ".local"
LOGS = LOCAL / "bench"
RESULT = LOCAL / "bench.json"
PARTS = (
    "limits",
    "warren",
    "alone",
    "scaling",
    "growth",
    "mails",
    *(queue.name for queue in QUEUES),
)
LONG = ("growth", "scaling")  # left out of the quick form
# jobs of a run, runs, jobs of a backlog, jobs one at a time
FULL = {"jobs": 1000, "runs": 3, "backlog": 1500, "single": 50}
QUICK = {"jobs": 600, "runs": 1, "backlog": 1000, "single": 20}


@dataclass(frozen=True)
class Run:
    """What is measured, and what was found so far."""

    servers: Servers
    directory: Path  # of the logs
    parts: Sequence[str]
    quick: bool
    found: dict[str, Any]

    @property
    def sizes(self) -> dict[str, int]:
        return QUICK if self.quick else FULL

    def measure_limits(self) -> None:
        """What broker, database and disk can do without anything on top."""
        if "limits" not in self.parts:
            return
        with _told("limits"):
            self.found["limits"] = (
                limits.broker(self.servers)
                | limits.database(self.servers, 3 if self.quick else 8)
                | limits.disk()
            )

    def measure_warren(self) -> None:
        """Warren, by its API and from Django."""
        if not {"warren", "scaling", "growth", "mails"} & {*self.parts}:
            return
        found, sizes = self.found, self.sizes
        began = time.perf_counter()
        with running_warren(self.servers, self.directory) as system:
            found["start-up"] = time.perf_counter() - began
            if "warren" in self.parts:
                with _told("Warren"):
                    found["memory"] = measures.idle_memory(system)
                    self._measure(system, sizes)
                    found["bulk"] = warren.bulk(system, 2 * sizes["backlog"])
                with _told("Warren: tasks of Django"):
                    tasks = WarrenTasks(system.stack, system.accounts, self.servers)
                    self._measure(tasks, sizes)
            if "scaling" in self.parts:
                with _told("Warren: more workers and relays"):
                    found["scaling"] = warren.scaling(system, 2 * sizes["backlog"])
            if "mails" in self.parts:
                with _told("Warren: registrations and mails"):
                    found["registrations"] = warren.registrations(system, sizes["single"] * 5)
                    found["mails"] = {"Warren": mails.of_warren(system, sizes["jobs"] // 2)}
            if "growth" in self.parts:
                with _told("Warren: a million rows, and a long queue"):
                    found["growth"] = warren.growth(system, sizes["jobs"])

    def measure_alone(self) -> None:
        """Warren again, with each job in a message of its own."""
        if "alone" in self.parts:
            with (
                running_warren(self.servers, self.directory, BUNDLE_MOST="1") as system,
                _told("Warren, each job alone"),
            ):
                self._measure(replace(system, name=report.ALONE), QUICK)
                self.found["published"] = warren.publishing(system, 2 * self.sizes["backlog"])

    def measure_peers(self) -> None:
        """The same small service on each of the other queues, with and without tokens."""
        for queue in QUEUES:
            if queue.name not in self.parts:
                continue
            for tokens in (True,) if self.quick else (True, False):
                with (
                    running_peer(queue, self.servers, self.directory, tokens=tokens) as peer,
                    _told(peer.name),
                ):
                    self._measure(peer, self.sizes if tokens else QUICK)
                    if "mails" in self.parts and queue.name == "celery" and tokens:
                        of_celery = mails.of_celery(peer, self.sizes["jobs"] // 2)
                        self.found.setdefault("mails", {})["send_mail in a Celery task"] = of_celery

    def _measure(self, system: System, sizes: dict[str, int]) -> None:
        measures.warm_up(system)
        self.found["systems"][system.name] = {
            "latency": measures.latency(system, sizes["single"]),
            "runs": [measures.throughput(system, sizes["jobs"]) for _ in range(sizes["runs"])],
            "drain": measures.drain(system, sizes["backlog"]),
        }


def main() -> int:
    """Measure, and print a table."""
    options = _options()
    directory = LOGS / time.strftime("%Y-%m-%d-%H%M%S")
    directory.mkdir(parents=True)
    found: dict[str, Any] = {
        "machine": f"{platform.platform()}, {os.cpu_count()} processors",
        "sizes": QUICK if options.quick else FULL,
        "systems": {},
    }
    parts = options.only or [one for one in PARTS if one not in LONG or not options.quick]
    try:
        with running_servers() as servers:
            run = Run(servers, directory, parts, options.quick, found)
            run.measure_limits()
            run.measure_alone()
            run.measure_warren()
            run.measure_peers()
    finally:  # whatever ended the run, minutes may have gone into it
        RESULT.write_text(json.dumps(found, indent=2) + "\n")
    print(f"\n{report.tables(found)}\nAll of it: {RESULT}")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="in two minutes instead of ten")
    parser.add_argument("--only", action="append", choices=PARTS, metavar="PART",
                        help=f"one of {', '.join(PARTS)}; also several times")  # fmt: skip
    return parser.parse_args()


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Say what is being measured, and how long it took."""
    began = time.perf_counter()
    print(f"{what} …", end="", flush=True)
    yield
    print(f" {time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
