"""A wrong clock, a full disk."""

from tests.faults.catalogue import PROCESSES, Act, fault
from tests.faults.stage import Stage

WHILE = 20.0  # seconds
HOUR = 3600


def _wrong_clock(name: str, seconds: int) -> Act:
    def act(stage: Stage) -> None:
        process = getattr(stage.stack, name)
        with stage.away(process):
            process.stop()
            process.launch(**stage.clock_off_by(seconds))
            stage.until(lambda: process.ready, f"{name}'s start with a wrong clock")
            stage.lasting(WHILE)
            process.stop()
        process.launch()
        stage.until(lambda: process.ready, f"{name}'s return")

    return act


for _name in PROCESSES:
    fault("clock an hour fast", _name, quick=_name == "collector")(_wrong_clock(_name, HOUR))
    fault("clock an hour slow", _name)(_wrong_clock(_name, -HOUR))


@fault("disk full for 20 s", "PostgreSQL", may_refuse=True, small_disk=True)
def disk_full(stage: Stage) -> None:
    assert stage.disk is not None
    stage.disk.fill()
    with stage.away(stage.stack.database):  # it may end, and cannot start while the disk is full
        stage.wait(WHILE)
        stage.disk.free()
    stage.until(lambda: stage.stack.database.running, "PostgreSQL's return")
