"""Web, as it asks for mails."""

import msgspec

from contracts.events import MailReceipt, TaskState
from contracts.tasks import SEND_EMAIL, SendEmail
from tests.support.web import Web as AnyWeb


class Web(AnyWeb):
    """Asks for mails."""

    def __init__(self, url: str) -> None:
        super().__init__(url, SEND_EMAIL)

    def ask(self, mail: SendEmail) -> str:
        """Ask for a mail; the task's id."""
        arguments = SEND_EMAIL.encode(mail)
        return self.send(arguments, kwargsrepr=SEND_EMAIL.shown_arguments(arguments))

    def await_receipt(self, task_id: str, attempt: int = 0) -> MailReceipt:
        """Wait for a task's success, in any attempt unless one is named.

        A message may go to the connection of a worker that has just died, and come back.
        """
        success = self.await_state(task_id, TaskState.SUCCESS, attempt=attempt)
        return msgspec.convert(success.result, MailReceipt)
