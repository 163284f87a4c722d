"""`python -m local <command>`: what the Makefile's targets do."""

import argparse
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from local import demo, smtp, up
from local.environment import process_environment
from local.errors import LocalError
from local.progress import Progress
from local.run_lock import RunLock
from local.scaling import ScaleRequests, parse_counts
from local.settings import Settings, local_folder

ROOT = Path(__file__).resolve().parents[4]
NOTHING_RUNS = "Warren does not run from this checkout"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; what goes wrong is said in plain words."""
    options = _parser().parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):  # `make down`, a closed terminal: as Ctrl-C
        signal.signal(number, signal.default_int_handler)
    try:
        return int(options.run(options) or 0)
    except LocalError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except OSError as error:
        if error.filename is None:
            raise
        print(
            f"\n{error.strerror}: {error.filename} (the checkout has to be yours)", file=sys.stderr
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
    add("clean", _clean, "remove everything that was made here but .env")
    logs = add("logs", _logs, "follow the processes' logs")
    logs.add_argument("process", nargs="*", help="such as compute.1; all if none is given")
    scale = add("scale", _scale, "run so many of a process under `up`")
    scale.add_argument("count", nargs="*", help="such as compute=3")
    run = add("run", _run, "run a command in the environment of Warren's processes")
    run.add_argument("--alone", action="store_true", help="also if `up` does not run")
    run.add_argument("words", nargs=argparse.REMAINDER, metavar="command")
    catch = add("smtp", _smtp, "catch mails instead of delivering them")
    catch.add_argument("--port", type=int, help="on 127.0.0.1; SMTP_PORT of .env if not given")
    catch.add_argument("--mails", type=Path, help="the Maildir; .local/mails if not given")
    return parser


def _up(options: argparse.Namespace) -> None:
    progress = Progress()
    up.stay_up(_settings(), progress)
    progress("Warren is stopped")


def _demo(options: argparse.Namespace) -> None:
    demo.show(_settings(), Progress())


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
    processes = ScaleRequests(local)
    waiting = processes.waiting()
    for name, count in processes.running().items():
        died = f", {waiting[name]} of them died and is started again" if waiting[name] else ""
        print(f"  {name:12} {count}{died}")


def _clean(options: argparse.Namespace) -> None:
    local = local_folder(ROOT)
    with RunLock(local).held():
        shutil.rmtree(local)
    print(f"Removed {local}; .env stays, if there is one.")


def _logs(options: argparse.Namespace) -> int:
    logs = _settings().logs
    names = options.process or sorted(path.stem for path in logs.glob("*.log"))
    files = [str(logs / f"{name}.log") for name in names]
    if not files:
        raise LocalError("There are no logs yet: `make up` writes them.")
    return subprocess.run(["tail", "-n", "30", "-F", *files], check=False).returncode


def _scale(options: argparse.Namespace) -> None:
    counts = parse_counts(options.count)
    _require_running()
    ScaleRequests(local_folder(ROOT)).ask(counts)
    print(", ".join(f"{name}: {count}" for name, count in counts.items()))


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


def _settings() -> Settings:
    """Read `.env`; what can do without goes on when that is wrong."""
    return Settings.load(ROOT, os.environ)


def _require_running(or_else: str = "") -> None:
    if RunLock(local_folder(ROOT)).holder() is None:
        raise LocalError(f"{NOTHING_RUNS}: `make up` first.{or_else}")


def _smtp(options: argparse.Namespace) -> None:
    settings = _settings()
    smtp.serve(options.port or settings.ports["SMTP_PORT"], options.mails or settings.mails)


if __name__ == "__main__":
    sys.exit(main())
