"""The JSON Schema of every message, frozen in ``contracts/schemas``.

``python -m contracts.schemas`` writes them anew; a test fails when code and file differ, so that
a change of a message is seen in review.
"""

import json
from pathlib import Path
from typing import Any

import msgspec

from contracts.results import Catalogue, MailReceipt, TaskEvent, WorkerReport
from contracts.tasks import TASKS

FOLDER = Path(__file__).parents[2] / "schemas"
MESSAGES: dict[str, type[msgspec.Struct]] = {
    **{name: contract.payload for name, contract in TASKS.items()},
    "mailer.receipt": MailReceipt,
    "task_event": TaskEvent,
    "compute.catalogue": Catalogue,
    "worker_report": WorkerReport,
}


def current() -> dict[str, dict[str, Any]]:
    """Map each message's name to the schema that the code has now."""
    return {name: msgspec.json.schema(message) for name, message in MESSAGES.items()}


def write() -> None:
    """Freeze the current schemas."""
    FOLDER.mkdir(exist_ok=True)
    for name, schema in current().items():
        text = json.dumps(schema, indent=2, sort_keys=True) + "\n"
        (FOLDER / f"{name}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
