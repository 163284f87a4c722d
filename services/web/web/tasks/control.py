"""Commands to the workers, sent through the outbox: no request waits for the broker."""

from typing import Any

from celery.app.control import Control

from web.messaging.outbox import outbox
from web.tasks import results, revoking
from web.tasks.capture import RefusedError
from web.tasks.storing import together

_Control: Any = Control  # whose stubs want each option by name


class OutboxControl(_Control):
    """Sends commands to all workers, and waits for no answer.

    Source: https://docs.celeryq.dev/en/stable/userguide/workers.html#remote-control
    """

    def broadcast(
        self,
        command: str,
        arguments: dict[str, Any] | None = None,
        destination: Any = None,
        connection: Any = None,
        reply: bool = False,
        **options: Any,
    ) -> None:
        """Store a command, in the caller's transaction or in one of its own.

        Raises RefusedError for a command that asks for answers, or is for some workers only.
        """
        if reply or destination or options.get("pattern") or options.get("matcher"):
            raise RefusedError(
                f"{command}: ask workers through Flower; web tells all and waits not"
            )
        with together():
            if command == "revoke":
                results.TRACKING.ended(revoking.note(**(arguments or {})))
            outbox.broadcast(command, arguments or {})
