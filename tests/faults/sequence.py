"""Faults at random, one after the other without a pause."""

from random import Random

from tests.faults.catalogue import FAULTS, Fault
from tests.faults.stage import Stage

CALM = 3.0  # seconds at most between two faults


def random_sequence(count: int, seed: int) -> Fault:
    """Make one fault of ``count`` others; the same seed gives the same sequence."""
    random = Random(seed)
    parts = random.choices([one for one in FAULTS if not one.small_disk], k=count)

    def act(stage: Stage) -> None:
        long, stage.long = stage.long, False
        try:
            for part in parts:
                part.act(stage)
                stage.wait(random.uniform(0, CALM))
        finally:
            stage.long = long

    return Fault(
        name=f"{count} faults, seed {seed}",
        group="at random",
        act=act,
        quick=True,
        may_refuse=any(part.may_refuse for part in parts),
        deletes=any(part.deletes for part in parts),
    )
