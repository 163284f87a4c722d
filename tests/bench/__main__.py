"""``make bench``: what a job costs in Warren, and in the same small service on other queues."""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.process import CHECKOUT

from . import limits, mails, measures, report, warren
from .servers import Servers, running_servers
from .systems import QUEUES, System, WarrenTasks, running_peer, running_warren

LOCAL = CHECKOUT / ".local"
LOGS = LOCAL / "bench"
RESULT = LOCAL / "bench.json"
PARTS = ("limits", "warren", "growth", "mails", *(queue.name for queue in QUEUES))
# jobs of a run, runs, jobs of a backlog, jobs one at a time
FULL = {"jobs": 1000, "runs": 3, "backlog": 1500, "single": 50}
QUICK = {"jobs": 600, "runs": 1, "backlog": 1000, "single": 20}


def main() -> int:
    """Measure, and print a table."""
    options = _options()
    sizes = QUICK if options.quick else FULL
    chosen = options.only or [part for part in PARTS if not (options.quick and part == "growth")]
    directory = LOGS / time.strftime("%Y-%m-%d-%H%M%S")
    directory.mkdir(parents=True)
    found: dict[str, Any] = {
        "machine": f"{platform.platform()}, {os.cpu_count()} processors",
        "sizes": sizes,
        "systems": {},
    }
    try:
        with running_servers() as servers:
            if "limits" in chosen:
                with _told("limits"):
                    found["limits"] = _limits(servers, 3 if options.quick else 8)
            _measure_warren(servers, directory, chosen, sizes, found)
            _measure_peers(servers, directory, chosen, sizes, found, quick=options.quick)
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


def _limits(servers: Servers, seconds: int) -> dict[str, float]:
    return limits.broker(servers) | limits.database(servers, seconds) | limits.disk()


def _measure_warren(
    servers: Servers,
    directory: Path,
    chosen: list[str],
    sizes: dict[str, int],
    found: dict[str, Any],
) -> None:
    if not {"warren", "growth", "mails"} & {*chosen}:
        return
    began = time.perf_counter()
    with running_warren(servers, directory) as system:
        found["start-up"] = time.perf_counter() - began
        if "warren" in chosen:
            with _told("Warren"):
                found["memory"] = measures.idle_memory(system)
                _measure(system, sizes, found)
                found["bulk"] = warren.bulk(system, 2 * sizes["backlog"])
            with _told("Warren: tasks of Django"):
                _measure(WarrenTasks(system.stack, system.accounts, servers), sizes, found)
        if "mails" in chosen:
            with _told("Warren: registrations and mails"):
                found["registrations"] = warren.registrations(system, sizes["single"] * 5)
                found["mails"] = {"Warren": mails.of_warren(system, sizes["jobs"] // 2)}
        if "growth" in chosen:
            with _told("Warren: a million rows, and a long queue"):
                found["growth"] = warren.growth(system, sizes["jobs"])


def _measure_peers(
    servers: Servers,
    directory: Path,
    chosen: list[str],
    sizes: dict[str, int],
    found: dict[str, Any],
    *,
    quick: bool,
) -> None:
    for queue in QUEUES:
        if queue.name not in chosen:
            continue
        for tokens in (True,) if quick else (True, False):
            with running_peer(queue, servers, directory, tokens=tokens) as peer, _told(peer.name):
                _measure(peer, sizes if tokens else QUICK, found)
                if "mails" in chosen and queue.name == "celery" and tokens:
                    found.setdefault("mails", {})["send_mail in a Celery task"] = mails.of_celery(
                        peer, sizes["jobs"] // 2
                    )


def _measure(system: System, sizes: dict[str, int], found: dict[str, Any]) -> None:
    measures.warm_up(system)
    found["systems"][system.name] = {
        "latency": measures.latency(system, sizes["single"]),
        "runs": [measures.throughput(system, sizes["jobs"]) for _ in range(sizes["runs"])],
        "drain": measures.drain(system, sizes["backlog"]),
    }


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Say what is being measured, and how long it took."""
    began = time.perf_counter()
    print(f"{what} …", end="", flush=True)
    yield
    print(f" {time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
