"""``make faults``: break Warren in every way there is, under load, and count what was lost."""

import argparse
import os
import platform
import random
import sys
from collections.abc import Sequence

from tests.faults import acts, report, trial
from tests.faults.catalogue import FAULTS, Fault, NotPossibleError
from tests.faults.sequence import random_sequence
from tests.faults.servers import running_stage
from tests.faults.verdict import Verdict
from tests.support.process import CHECKOUT

assert acts  # imported so that the faults are registered
LOCAL = CHECKOUT / ".local"
LOGS = LOCAL / "faults"
RESULT = LOCAL / "faults.json"
SEQUENCE = 20  # faults at random, after each one alone


def main() -> int:
    """Run; 1 if any promise was broken."""
    options = _options()
    chosen = [one for one in FAULTS if _is_chosen(one, options)]
    if options.list:
        print("\n".join(f"{one.group}: {one.name}" for one in chosen))
        return 0
    if options.sequence:
        chosen.append(random_sequence(options.sequence, options.seed))
    if not chosen:
        sys.exit(f"no fault has the words {options.only} in its name: --list names them all")
    print(f"{len(chosen)} faults, seed {options.seed}; logs in {LOGS}", flush=True)
    verdicts: list[Verdict] = []
    impossible: list[str] = []
    try:
        for small in (False, True):
            if part := [one for one in chosen if one.small_disk == small]:
                impossible += _run(part, options, verdicts, small=small)
    finally:  # whatever ended the run, hours may have gone into it
        if verdicts:
            report.write(RESULT, verdicts, seed=options.seed, machine=platform.platform(),
                         processors=os.cpu_count(), impossible=impossible)  # fmt: skip
    print(report.summary(verdicts), f"All of it: {RESULT}", sep="\n")
    return 0 if all(verdict.holds for verdict in verdicts) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--list", action="store_true", help="list the faults and end")
    parser.add_argument("--quick", action="store_true", help="the short form: fewer and shorter")
    parser.add_argument("--only", metavar="WORDS", action="append", default=[],
                        help="faults whose names have these words; also several times")  # fmt: skip
    parser.add_argument("--sequence", type=int, metavar="N",
                        help=f"then N faults at random, with no pause in between ({SEQUENCE}, "
                             "but none with --quick or --only)")  # fmt: skip
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of the faults")
    options = parser.parse_args()
    if options.sequence is None:
        options.sequence = 0 if options.quick or options.only else SEQUENCE
    return options


def _is_chosen(one: Fault, options: argparse.Namespace) -> bool:
    if options.quick and not one.quick:
        return False
    name = f"{one.group}: {one.name}".lower()
    return not options.only or any(words.lower() in name for words in options.only)


def _run(
    faults: Sequence[Fault], options: argparse.Namespace, verdicts: list[Verdict], *, small: bool
) -> list[str]:
    """Add the verdicts of some faults; return the names of those that cannot be had here."""
    try:
        with running_stage(LOGS, options.seed, on_small_disk=small) as stage:
            stage.long = not options.quick
            clients = trial.users(stage)
            print(report.head(), flush=True)
            for one in faults:
                verdicts.append(trial.run(stage, one, clients))
                print(report.line(verdicts[-1]), flush=True)
    except NotPossibleError as error:
        names = [f"{one.group}: {one.name}" for one in faults]
        print(f"not possible on this machine: {', '.join(names)}: {error}", flush=True)
        return names
    return []


if __name__ == "__main__":
    sys.exit(main())
