"""A signal may come at any moment, and more than once."""

import os
import sys
from pathlib import Path

from tests.support.program import Program

WEB = Path(__file__).parents[3]
HAMMER = """
import os, signal
import django
django.setup()
from web.messaging.processes.lifecycle import StopSignal

stop = StopSignal().listen()  # before the first signal
pid = os.getpid()
if os.fork() == 0:  # a thread would need the interpreter's lock
    while os.getppid() == pid:
        os.kill(pid, signal.SIGTERM)
    os._exit(0)
for _ in range(3000):
    stop.wait(0.001)
assert stop
print("stopped")
os._exit(0)
"""


def test_signals_in_quick_succession_stop_and_hang_nothing(tmp_path: Path) -> None:
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "web.settings", "PYTHONPATH": str(WEB)}
    with Program([sys.executable, "-c", HAMMER], tmp_path / "log", environment) as program:
        assert program.await_end() == 0, program.log
        assert program.log.endswith("stopped\n")
