"""Write ``docs/settings.md`` from the processes' settings: ``python infra/settings_page.py``."""

import os
import runpy
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from compute.config import Settings as ComputeSettings
from mailer.config import MailerSettings
from runtime.environment import Environment, Setting
from worker.app import WorkerSettings

CHECKOUT = Path(__file__).parents[1]
PAGE = CHECKOUT / "docs/settings.md"
# All required settings, valid in production. Nothing connects to these addresses.
COMPLETE = {
    "BROKER_URL": "amqp://localhost",
    "DATABASE_URL": "postgresql://localhost/warren",
    "DJANGO_SECRET_KEY": "x" * 50,
    "FLOWER_BASIC_AUTH": "somebody:somehow",
    "JWT_SIGNING_KEY": "x" * 50,
    "LEDGER_URL": "postgresql://localhost/mailer",
    "MAIL_FROM": "noreply@example.org",
    "PUBLIC_URL": "https://example.org",
    "SMTP_URL": "smtp://localhost",
}
INTRODUCTION = """\
# Settings

This page is made from the code: `make run ARGS='--alone python infra/settings_page.py'`.

Each process reads its settings once, at the start. It refuses to start if one is missing or
wrong: the message names all of them, each with an example. Each setting `X` may also be given as
`X_FILE`, the path of a file that holds the value.

`make` and Compose take them from `.env`; under `make`, the environment wins. A line of `.env` that
is not plain is refused, and so is a name that is nearly a setting. The ports and passwords that
`make` uses stand in [`.env.example`](../.env.example).

A rate is a number, a slash and a time: `30/5m`, `10/s`, `1/d`.
"""
WEB = ("web", "relay", "collector", "reconciler", "tasks")
WORKERS = ("tasks", "mailer", "compute")
EVERY = tuple(dict.fromkeys((*WEB, *WORKERS, "flower")))
SECTIONS = (WEB, ("web",), WORKERS, ("mailer",), ("compute",), ("flower",))


@dataclass
class Row:
    """One setting, with the processes that read it."""

    setting: Setting
    defaults: dict[str, str | None]  # by process

    @property
    def processes(self) -> tuple[str, ...]:
        """The names of the processes that read it, in a fixed order."""
        return tuple(name for name in EVERY if name in self.defaults)

    @property
    def default(self) -> str:
        """As the table shows it; "required" if a process requires it and none has a default."""
        found = {name: default for name, default in self.defaults.items() if default}
        if not found:
            return "none" if None not in self.defaults.values() else "required"
        if len({*found.values()}) == 1:
            return _code(next(iter(found.values())))
        return ", ".join(f"{name} {_code(default)}" for name, default in found.items())

    @property
    def meaning(self) -> str:
        """As the table shows it: with its bounds, and with a required URL or account's example."""
        parts = [self.setting.meaning, self.setting.bounds]
        if self.default == "required" and ":" in self.setting.example:
            parts.append(f"such as `{self.setting.example}`")
        return "; ".join(filter(None, parts))


def page() -> str:
    """Return the page as Markdown."""
    rows = _rows(_read())
    several = [row for row in rows if row.processes not in SECTIONS]
    parts = [INTRODUCTION, "## Several processes\n", _table(several, read_by=True)]
    for processes in SECTIONS:
        found = [row for row in rows if row.processes == processes]
        parts += [f"## {', '.join(processes)}\n", _table(found)]
    return "\n".join(parts)


def _read() -> list[tuple[tuple[str, ...], list[Setting]]]:
    """Let all processes read their settings; returns them after the processes' names."""
    os.environ |= COMPLETE | {"WARREN_ENVIRONMENT": "production"}
    gunicorn = runpy.run_path(str(CHECKOUT / "services/web/gunicorn.conf.py"))
    flowerapp = runpy.run_path(str(CHECKOUT / "infra/flower/flowerapp.py"))
    web = import_module("web.settings").env
    concurrency = import_module("web.tasks.application").CONCURRENCY
    tasks, mailer, compute, flower = (Environment() for _ in range(4))
    WorkerSettings.read(tasks, concurrency=concurrency)
    MailerSettings.read(mailer)
    ComputeSettings.read(compute)
    flowerapp["FlowerSettings"].read(flower)
    return [
        (WEB, web.settings),
        (("web",), gunicorn["env"].settings),
        (("tasks",), tasks.settings),
        (("mailer",), mailer.settings),
        (("compute",), compute.settings),
        (("flower",), flower.settings),
    ]


def _rows(read: list[tuple[tuple[str, ...], list[Setting]]]) -> list[Row]:
    rows: dict[str, Row] = {}
    for processes, settings in read:
        for setting in settings:
            row = rows.setdefault(setting.name, Row(setting, {}))
            row.defaults |= dict.fromkeys(processes, setting.default)
    return list(rows.values())


def _table(rows: list[Row], *, read_by: bool = False) -> str:
    titles = ["name", "default", *(["read by"] if read_by else []), "meaning"]
    lines = [titles, ["---"] * len(titles)]
    for row in rows:
        who = "all" if row.processes == EVERY else ", ".join(row.processes)
        lines.append(
            [f"`{row.setting.name}`", row.default, *([who] if read_by else []), row.meaning]
        )
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _code(default: str) -> str:
    return default if " " in default or default.isdigit() else f"`{default}`"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
