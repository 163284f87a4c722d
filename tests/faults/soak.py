"""``make soak``: an hour of load with now and then a cut connection; nothing may grow."""

import argparse
import json
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from tests.faults import report, trial
from tests.faults.catalogue import Fault
from tests.faults.servers import running_stage
from tests.faults.stage import Stage
from tests.faults.usage import Usage, measure
from tests.support.process import CHECKOUT

LOGS = CHECKOUT / ".local/faults"
RESULT = CHECKOUT / ".local/soak.json"
EVERY = 15.0  # seconds between two samples
CUT_EVERY = 60.0  # seconds between two cuts of all connections
WARM_UP = 0.2  # of all samples, which do not count
MARGIN = 1.1  # what the last third may use, as a multiple of the first
MEBIBYTE = 2**20
MEMORY, FILES, CONNECTIONS = 12, 24, 3  # that there may be more all the same; memory in MiB


@dataclass(frozen=True)
class Series:
    """One figure over time."""

    name: str
    values: list[float]
    spare: float

    @property
    def first(self) -> float:
        """Its median at the beginning."""
        return median(self.values[: max(1, len(self.values) // 3)])

    @property
    def last(self) -> float:
        """Its median at the end."""
        return median(self.values[-max(1, len(self.values) // 3) :])

    @property
    def grows(self) -> bool:
        """Whether there is more at the end than chance explains."""
        return self.last > max(self.first * MARGIN, self.first + self.spare)


def main() -> int:
    """Run; 1 if anything grew, or a promise was broken."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="how long (60)")
    parser.add_argument("--cut-every", type=float, default=CUT_EVERY, metavar="SECONDS",
                        help=f"how often all connections are cut ({CUT_EVERY:.0f})")  # fmt: skip
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of the faults")
    options = parser.parse_args()
    samples: list[Usage] = []
    with running_stage(LOGS, options.seed) as stage:
        soak = Fault(
            name=f"{options.minutes:.0f} min, seed {options.seed}",
            group="soak",
            act=lambda on: samples.extend(_soak(on, options.minutes * 60, options.cut_every)),
            may_refuse=True,  # a request may be in the middle of a connection that is cut
        )
        verdict = trial.run(stage, soak, trial.users(stage))
    found = list(_series(samples[int(len(samples) * WARM_UP) :]))
    print(report.head(), report.line(verdict), "", _table(found), sep="\n")
    RESULT.write_text(json.dumps({
        "seed": options.seed, "minutes": options.minutes, "promises": verdict.as_dict(),
        "figures": {one.name: {"first": one.first, "last": one.last} for one in found},
    }, indent=2) + "\n")  # fmt: skip
    return 0 if verdict.holds and not any(one.grows for one in found) else 1


def _soak(stage: Stage, seconds: float, cut_every: float) -> Iterator[Usage]:
    end = time.monotonic() + seconds
    next_cut = time.monotonic() + cut_every
    while time.monotonic() < end:
        stage.wait(min(EVERY, max(0.0, end - time.monotonic())))
        if time.monotonic() > next_cut:
            next_cut += cut_every
            for server in ("broker", "database", "smtp"):
                for link in stage.links(server):
                    link.cut()
            stage.wait(EVERY)
        usage = measure(stage.stack, stage.management, stage.processes)
        print(
            f"{end - time.monotonic():6.0f} s left, {usage.memory / MEBIBYTE:.0f} MiB", flush=True
        )
        yield usage


def _series(samples: list[Usage]) -> Iterator[Series]:
    figures = [{name: (value, spare) for name, value, spare in _figures(one)} for one in samples]
    for name, (_, spare) in figures[-1].items():
        yield Series(name, [one[name][0] if name in one else 0.0 for one in figures], spare)


def _figures(usage: Usage) -> Iterator[tuple[str, float, float]]:
    """Name each figure with its value and with how much more it may be by chance."""
    for name, process in usage.processes.items():
        yield f"{name}: MiB", process.memory / MEBIBYTE, MEMORY
        yield f"{name}: files", process.files, FILES
    for user, number in usage.broker_connections.items():
        yield f"broker's connections of {user}", number, CONNECTIONS
    for user, number in usage.broker_channels.items():
        yield f"broker's channels of {user}", number, CONNECTIONS
    for role, number in usage.database_connections.items():
        yield f"database's connections of {role}", number, 2 * CONNECTIONS
    yield "broker: MiB", usage.broker_memory / MEBIBYTE, 3 * MEMORY


def _table(found: list[Series]) -> str:
    lines = [f"{'figure':<50} {'first third':>12} {'last third':>12}"]
    for one in found:
        grown = "  GROWS" if one.grows else ""
        lines.append(f"{one.name:<50} {one.first:>12.1f} {one.last:>12.1f}{grown}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
