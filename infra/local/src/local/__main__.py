"""`python -m local <command>`: what the Makefile's targets do."""

import argparse
import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from local import new_service, smtp
from local.demo import story
from local.environment import process_environment
from local.errors import LocalError
from local.progress import Progress
from local.run import log_follower, up
from local.run.process_names import kind, require_known, select
from local.run.requests import Requests, parse_counts
from local.run.run_lock import RunLock
from local.run.supervisor import read_procfile
from local.settings import Settings, local_folder

ROOT = Path(__file__).resolve().parents[4]
NOTHING_RUNS = "Warren does not run from this checkout"
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # these come without a file's name
MAIL_SECONDS = 30.0
POLL_SECONDS = 0.1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status. Errors that the user can mend are printed."""
    options = _parser().parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):  # `make down`, a closed terminal: as Ctrl-C
        signal.signal(number, signal.default_int_handler)
    try:
        return int(options.run(options) or 0)
    except LocalError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except OSError as error:
        if error.filename is None and error.errno not in NO_ROOM:
            raise
        where = error.filename or f"a file below {ROOT}"
        print(
            f"\n{error.strerror}: {where} (the checkout has to be yours, on a disk with room)",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")

    def add(name: str, run: object, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        return command

    add("up", _up, "start everything and stay until Ctrl-C")
    add("demo", _demo, "start everything, show the main job, stop everything")
    add("env", _env, "write .env, if there is none, and check it")
    add("down", _down, "stop what `up` started, from another terminal")
    add("status", _status, "say what runs")
    add("clean", _clean, "remove everything that was made here, except .env")
    logs = add("logs", _logs, "follow the processes' logs")
    logs.add_argument(
        "process", nargs="*", help="such as compute, or compute.1; all if none is given"
    )
    scale = add("scale", _scale, "set how many of a process run under `up`")
    scale.add_argument("count", nargs="*", help="such as compute=3")
    restart = add("restart", _restart, "restart processes under `up`, each when its work has ended")
    restart.add_argument("process", nargs="*", help="such as compute, or compute.1")
    mail = add("mail", _mail, "show the newest mail, once it has come")
    mail.add_argument("address", nargs="?", help="of its recipient")
    run = add("run", _run, "run a command in the environment of Warren's processes")
    run.add_argument("--alone", action="store_true", help="even if `up` does not run")
    run.add_argument("words", nargs=argparse.REMAINDER, metavar="command")
    service = add("service", _service, "make a new service of workers, with one task")
    service.add_argument("name", help="such as texts")
    catch = add("smtp", _smtp, "catch mails instead of delivering them")
    catch.add_argument("--port", type=int, help="on 127.0.0.1; SMTP_PORT of .env if not given")
    catch.add_argument("--mails", type=Path, help="the Maildir; .local/mails if not given")
    return parser


def _up(options: argparse.Namespace) -> None:
    progress = Progress()
    up.stay_up(_settings(), progress)
    progress("Warren is stopped")


def _demo(options: argparse.Namespace) -> None:
    story.show(_settings(), Progress())


def _env(options: argparse.Namespace) -> None:
    _settings()
    print(f"The settings are in {ROOT / '.env'}.")


def _down(options: argparse.Namespace) -> None:
    stopped = RunLock(local_folder(ROOT)).stop_holder()
    print("Warren is stopped." if stopped else f"{NOTHING_RUNS}.")


def _status(options: argparse.Namespace) -> None:
    local = local_folder(ROOT)
    holder = RunLock(local).holder()
    if holder is None:
        print(f"{NOTHING_RUNS}; `make up` starts it.")
        return
    print(f"Warren runs (process {holder}) at {_settings().web_url}")
    processes = Requests(local)
    waiting = processes.waiting()
    for name, count in processes.running().items():
        died = f", {waiting[name]} of them died and is started again" if waiting[name] else ""
        print(f"  {name:12} {count}{died}")


def _clean(options: argparse.Namespace) -> None:
    local = local_folder(ROOT)
    with RunLock(local).held():
        shutil.rmtree(local)
    print(f"Removed {local}; .env stays, if there is one.")


def _logs(options: argparse.Namespace) -> None:
    local = local_folder(ROOT)
    lock, requests = RunLock(local), Requests(local)
    folder, holder = local / "log", lock.holder()
    last_run = sorted(path.stem for path in folder.glob("*.log"))
    if holder is None and not last_run:
        raise LocalError("There are no logs yet: `make up` writes them.")
    processes = list(requests.processes()) if holder else last_run
    kinds = dict.fromkeys([*read_procfile(ROOT / "Procfile"), *map(kind, processes)])
    require_known(options.process, processes, kinds)

    def chosen(there: list[str]) -> list[str]:
        return select(options.process, there) if options.process else there

    def running() -> list[str] | None:
        return chosen(list(requests.processes())) if lock.holder() == holder else None

    with suppress(KeyboardInterrupt, BrokenPipeError):  # the usual ends of this command
        if holder is None:
            print(f"{NOTHING_RUNS}. This is the end of the last run:", file=sys.stderr)
            log_follower.show_last(folder, chosen(last_run))
            return
        log_follower.follow(folder, running)
        print("Warren has stopped.", file=sys.stderr)


def _mail(options: argparse.Namespace) -> None:
    mails = local_folder(ROOT) / "mails"
    deadline = time.monotonic() + MAIL_SECONDS
    while (mail := smtp.newest_mail(mails, options.address)) is None:
        _require_running()
        if time.monotonic() > deadline:
            whom = f" to {options.address}" if options.address else ""
            raise LocalError(
                f"No mail{whom} has come within {MAIL_SECONDS:.0f} s. The API's list of mails says "
                "why (GET /api/v1/mails), or `make logs mailer`."
            )
        time.sleep(POLL_SECONDS)
    for header in ("from", "to", "date", "subject"):
        print(f"{header.title()}: {mail[header]}")
    print(f"\n{smtp.text(mail)}", end="")


def _scale(options: argparse.Namespace) -> None:
    counts = parse_counts(options.count)
    _require_running()
    Requests(local_folder(ROOT)).scale(counts)
    print(", ".join(f"{name}: {count}" for name, count in counts.items()))


def _restart(options: argparse.Namespace) -> None:
    if not options.process:
        raise LocalError("Which process? Example: make restart compute")
    _require_running()
    Requests(local_folder(ROOT)).restart(options.process, say=partial(print, flush=True))


def _run(options: argparse.Namespace) -> int:
    if not options.alone:
        _require_running(" (For a command that needs none of it: ARGS='--alone …'.)")
    environment = process_environment(_settings(), os.environ)
    words = [word for word in options.words if word != "--"]
    if not words:
        raise LocalError("Which command? Example: python -m local run python -m mailer")
    program = shutil.which(words[0], path=environment["PATH"])
    if program is None:
        raise LocalError(f"There is no program {words[0]}.")
    return subprocess.run([program, *words[1:]], env=environment, check=False).returncode


def _service(options: argparse.Namespace) -> None:
    for path in new_service.make(ROOT, options.name):
        print(path.relative_to(ROOT))


def _settings() -> Settings:
    """Read `.env`. Only commands that need it call this: the others work if it is wrong."""
    return Settings.load(ROOT, os.environ)


def _require_running(or_else: str = "") -> None:
    if RunLock(local_folder(ROOT)).holder() is None:
        raise LocalError(f"{NOTHING_RUNS}: `make up` first.{or_else}")


def _smtp(options: argparse.Namespace) -> None:
    port, mails = options.port, options.mails
    if not (port and mails):  # or else a checkout without .env is as good
        settings = _settings()
        port, mails = port or settings.ports["SMTP_PORT"], mails or settings.mails
    smtp.serve(port, mails)


if __name__ == "__main__":
    sys.exit(main())
