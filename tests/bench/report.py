"""Tables of what was measured, and the ratios by which goals are stated."""

from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import Any

WARREN = "Warren"
ALONE = "Warren, each job alone (BUNDLE_MOST=1)"
TASK = "Warren: .delay() of a Django task"
NAIVE, SAFE = "(a) Celery, as its tutorial has it", "(b) Celery, made safe"
IN_POSTGRESQL = "(c) procrastinate"
LEFT_OUT = "flower"  # shows, and does no part of a job
Figures = dict[str, Any]


def tables(found: Figures) -> str:
    """Lay out all that there is, as Markdown."""
    systems = found["systems"]
    parts = [found["machine"], _systems(systems)] if systems else [found["machine"]]
    parts += [_parts(systems[name], name) for name in (WARREN, TASK) if name in systems]
    parts += [_others(found)]
    if goals := _goals(found):
        parts.append(_table(("figure", "goal", "now"), goals))
    return "\n\n".join(part for part in parts if part)


def milliseconds(run: Figures) -> float:
    """Processor time of a job, of all parts but Flower."""
    each: dict[str, float] = run["milliseconds"]
    return sum(value for part, value in each.items() if part != LEFT_OUT)


def _systems(systems: Figures) -> str:
    head = ("system", "accepted/s", "jobs/s", "CPU ms/job", "one job p50 ms", "p95",
            "backlog, jobs/s", "its CPU ms/job")  # fmt: skip
    rows = []
    for name, one in systems.items():
        runs = one["runs"]
        rows.append((
            name,
            _spread([run["accepted"] for run in runs]),
            _spread([run["done"] for run in runs]),
            _spread([milliseconds(run) for run in runs], 1),
            f"{one['latency']['p50']:.1f}",
            f"{one['latency']['p95']:.1f}",
            f"{one['drain']['done']:.0f}",
            f"{milliseconds(one['drain']):.1f}",
        ))  # fmt: skip
    return _table(head, rows)


def _parts(one: Figures, name: str) -> str:
    runs = [run["milliseconds"] for run in one["runs"]]
    shown = {part: median(run[part] for run in runs) for part in runs[0]}
    rows = [(part, f"{value:.2f}") for part, value in shown.items() if value >= 0.005]
    return _table((f"CPU ms/job of {name}", ""), rows)


def _others(found: Figures) -> str:
    rows: list[tuple[str, str]] = []
    if "limits" in found:
        limits = found["limits"]
        rows += [
            ("RabbitMQ, quorum queue: published/s, pipelined", f"{limits['published']:.0f}"),
            ("the same: consumed/s", f"{limits['consumed']:.0f}"),
            ("pgbench, 4 clients: transactions/s", f"{limits['transactions']:.0f}"),
            ("one block to the disk, ms", f"{limits['sync']:.2f}"),
        ]
    if "published" in found:
        rows.append(("messages/s published by the relay", f"{found['published']:.0f}"))
    if "bulk" in found:
        rows.append(("jobs accepted/s, 500 in a request", f"{found['bulk']:.0f}"))
    for kind, one in found.get("registrations", {}).items():
        rows.append((f"registration, SMTP {kind}: p50 / p99 ms",
                     f"{one['p50']:.0f} / {one['p99']:.0f}"))  # fmt: skip
    rows += [(f"mails/s, {name}", f"{rate:.0f}") for name, rate in found.get("mails", {}).items()]
    rows += [(f"{what}: jobs/s", f"{rate:.0f}") for what, rate in found.get("scaling", {}).items()]
    for state, run in found.get("growth", {}).items():
        figures = f"{run['accepted']:.0f}, {run['done']:.0f}, {milliseconds(run):.1f}"
        rows.append((f"{state}: accepted/s, jobs/s, CPU ms/job", figures))
    if "start-up" in found:
        rows.append(("start of all of Warren, s", f"{found['start-up']:.1f}"))
    for part, mebibytes in found.get("memory", {}).items():
        rows.append((f"MiB of {part}, idle", f"{mebibytes:.0f}"))
    return _table(("", ""), rows) if rows else ""


def _goals(found: Figures) -> list[tuple[str, str, str]]:
    systems: Figures = found["systems"]
    rows: list[tuple[str, str, str]] = []

    def compare(figure: str, goal: str, ours: float | None, theirs: float | None) -> None:
        if ours is not None and theirs is not None:
            rows.append((figure, goal, f"{ours / theirs:.2f} x"))

    def middle(name: str, figure: Callable[[Figures], float]) -> float | None:
        return median(map(figure, systems[name]["runs"])) if name in systems else None

    def single(name: str) -> float | None:
        return float(systems[name]["latency"]["p50"]) if name in systems else None

    done, cost = middle(WARREN, _done), middle(WARREN, milliseconds)
    for name in systems:
        if name.startswith(("(c)", "(d)", "(e)")):
            compare(f"jobs/s against {name}", "≥ 1.2 x the best", done, middle(name, _done))
    for name in (NAIVE, SAFE):
        compare(f"jobs/s against {name}", "≥ 3 x", done, middle(name, _done))
    for name, goal in ((IN_POSTGRESQL, "≤ 0.9 x"), (NAIVE, "≤ 0.5 x")):
        compare(f"CPU of a job against {name}", goal, cost, middle(name, milliseconds))
    compare(f"CPU of a job alone against {NAIVE}", "≤ 1.0 x", middle(ALONE, milliseconds),
            middle(NAIVE, milliseconds))  # fmt: skip
    compare(f"accepted/s against {NAIVE}", "≥ 0.8 x", middle(WARREN, _accepted),
            middle(NAIVE, _accepted))  # fmt: skip
    compare(f"accepted/s in bulk against {NAIVE}", "≥ 20 x", found.get("bulk"),
            middle(NAIVE, _accepted))  # fmt: skip
    compare(f"p50 of one job against {SAFE}", "≤ 1.0 x", single(WARREN), single(SAFE))
    compare(f"jobs/s of Django tasks against {SAFE}", "≥ 1.0 x", middle(TASK, _done),
            middle(SAFE, _done))  # fmt: skip
    compare("messages/s of the relay against the pipelined limit", "≥ 0.6 x",
            found.get("published"), found.get("limits", {}).get("published"))  # fmt: skip
    if WARREN in systems:
        rows.append(("backlog, jobs/s", "≥ 1000", f"{systems[WARREN]['drain']['done']:.0f}"))
    ours, *theirs = found.get("mails", {}).values() or [None]
    for rate in theirs:
        compare("mails/s against send_mail in a task", "≥ 5 x", ours, rate)
    registration = found.get("registrations", {})
    for kind in registration:
        compare(f"p99 of a registration, SMTP {kind}", "≤ 1.05 x instant",
                registration[kind]["p99"], registration["instant"]["p99"])  # fmt: skip
    growth = {state: milliseconds(run) for state, run in found.get("growth", {}).items()}
    for state, milliseconds_each in growth.items():
        compare(f"CPU of a job, {state}", "≤ 1.1 x empty", milliseconds_each, growth["empty"])
    return rows


def _accepted(run: Figures) -> float:
    return float(run["accepted"])


def _done(run: Figures) -> float:
    return float(run["done"])


def _spread(values: Sequence[float], digits: int = 0) -> str:
    middle = f"{median(values):.{digits}f}"
    if len(values) == 1:
        return middle
    return f"{middle} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
