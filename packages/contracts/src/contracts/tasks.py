"""Names and payloads of the tasks that web asks the workers for."""

import re
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from contracts.errors import MalformedMessageError
from contracts.headers import SHADOW


class Payload(msgspec.Struct, frozen=True, kw_only=True):
    """Arguments of a task. Unknown fields are ignored, so that a sender may be newer."""


class SendEmail(Payload, frozen=True, kw_only=True):
    """Render ``template`` with ``context`` and send it to ``recipient``.

    ``email_id`` is the idempotency key: the mailer sends one mail for it, however often asked.
    ``context`` may hold secrets (a verification link), hence it is never shown.
    """

    email_id: str
    template: str
    recipient: str
    context: dict[str, str]


class RunComputation(Payload, frozen=True, kw_only=True):
    """Run ``computation`` of the catalogue with ``arguments``, which follow its JSON Schema."""

    job_id: str
    computation: str
    arguments: dict[str, Any]


P = TypeVar("P", bound=Payload)


@dataclass(frozen=True)
class TaskContract(Generic[P]):
    """A task as sender and worker know it.

    ``name`` is also the routing key; its first word names the service and so the queue.
    ``shown`` lists the payload fields that Flower and logs may show; all others are redacted.
    ``kind`` is the field, if any, whose value Flower shows as part of the task's name.
    ``id_field`` is the field, if any, that repeats the task's id.
    """

    name: str
    payload: type[P]
    shown: frozenset[str]
    kind: str = ""
    id_field: str = ""

    @property
    def service(self) -> str:
        """The service that runs this task."""
        return self.name.partition(".")[0]

    def encode(self, payload: P) -> dict[str, Any]:
        """Turn a payload into the task's keyword arguments (JSON types only).

        Raises MalformedMessageError if the payload has a value of the wrong type.
        """
        arguments: dict[str, Any] = msgspec.to_builtins(payload)
        self.decode(arguments)
        return arguments

    def decode(self, arguments: dict[str, Any]) -> P:
        """Turn keyword arguments into a payload.

        Raises MalformedMessageError if they do not follow the contract. Its text names the field
        but no value.
        """
        try:
            return msgspec.convert(arguments, self.payload)
        except msgspec.ValidationError as error:
            raise MalformedMessageError(f"{self.name}: {error}") from error

    def redact(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return keyword arguments with ``…`` for each value that may not be shown."""
        return {name: value if name in self.shown else "…" for name, value in arguments.items()}

    def shadow(self, arguments: dict[str, Any]) -> str | None:
        """Return the name that Flower shows for a task, such as ``compute.add``.

        Return None without a ``kind``, and for a name that is not a single word: the value may
        come from a client.
        """
        shadow = f"{self.service}.{arguments[self.kind]}" if self.kind else ""
        return shadow if re.search(SHADOW, shadow) else None

    def shown_arguments(self, arguments: dict[str, Any]) -> str:
        """Describe keyword arguments for Flower, with hidden values as ``…``."""
        return repr(self.redact(arguments))[:1024]


SEND_EMAIL = TaskContract(
    "mailer.send_email", SendEmail, frozenset({"email_id", "template"}), id_field="email_id"
)
RUN_COMPUTATION = TaskContract(
    "compute.run",
    RunComputation,
    frozenset({"job_id", "computation", "arguments"}),
    kind="computation",
    id_field="job_id",
)
TASKS = {contract.name: contract for contract in (SEND_EMAIL, RUN_COMPUTATION)}
