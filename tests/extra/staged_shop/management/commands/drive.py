"""``manage.py drive``: evaluate what comes line by line, as somebody would type it in the shell."""

import json
import sys
from typing import Any

from celery import chain, chord, current_app, group
from celery.result import AsyncResult
from django.core.management.base import BaseCommand
from django.db import close_old_connections, transaction

from contracts.tasks import RUN_COMPUTATION, SEND_EMAIL
from staged_shop import tasks
from web.tasks.contracted import contract_task


class Command(BaseCommand):
    """Answers each line with a line: a value, or an error's type and words."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Go on until the end of the input."""
        names = vars(tasks) | {
            "AsyncResult": AsyncResult,
            "send_task": current_app.send_task,
            "compute": contract_task(RUN_COMPUTATION),
            "send_email": contract_task(SEND_EMAIL),
            "chain": chain,
            "chord": chord,
            "group": group,
            "transaction": transaction,
        }
        for line in sys.stdin:
            close_old_connections()  # as between two requests
            try:
                answer = {"value": eval(json.loads(line), names)}  # noqa: S307 -- a test's own
            except Exception as error:  # noqa: BLE001
                answer = {"error": type(error).__name__, "words": str(error)}
            print(json.dumps(answer, default=str), flush=True)
