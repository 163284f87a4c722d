"""What does not get into the logs."""

import subprocess
import sys

PROGRAM = """
import logging
from runtime.logging import configure
configure("test", log_format={log_format!r})
try:
    raise RuntimeError("boom")
except RuntimeError:
    logging.getLogger("celery.app.trace").exception(
        "Task %(name)s failed", {{"name": "mailer.send_email"}},
        extra={{"data": {{"kwargs": "planted"}}}},
    )
logging.getLogger("kombu").warning("no amqp://user:planted@host")
logging.getLogger("web").warning("known", extra={{"note": "stays", "password": "planted"}})
"""


def test_neither_a_tasks_arguments_nor_passwords_are_logged() -> None:
    for log_format in ("json", "console"):
        program = [sys.executable, "-c", PROGRAM.format(log_format=log_format)]
        written = subprocess.run(program, capture_output=True, text=True, check=True).stderr
        assert "planted" not in written
        for kept in ("mailer.send_email", "boom", "amqp://user", "stays"):
            assert kept in written
