"""The JSON Schema of each message, frozen in files so that a change is seen in review.

``python -m contracts.schemas`` writes ``packages/contracts/schemas/`` anew, and with ``--release``
also ``schemas/released/``. The tests compare the code with both. It must be the same as in
``schemas/``, and compatible with ``schemas/released/`` in both directions. Services are updated one
after the other: a newer sender meets an older receiver, and the reverse.
"""

import argparse
import json
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path
from typing import Any

import msgspec

from contracts.bundles import Bundle, Enclosed
from contracts.events import Catalogue, MailReceipt, TaskEvent, WorkerReport
from contracts.mails import MAILS
from contracts.tasks import TASKS

FOLDER = Path(__file__).parents[2] / "schemas"
RELEASED = FOLDER / "released"
MESSAGES: dict[str, type[msgspec.Struct]] = {
    **{name: contract.payload for name, contract in TASKS.items()},
    **{f"mail.{name}": mail for name, mail in MAILS.items()},
    "mailer.receipt": MailReceipt,
    "task_event": TaskEvent,
    "compute.catalogue": Catalogue,
    "worker_report": WorkerReport,
    "bundle": Bundle,
    "enclosed_answer": Enclosed,
}
WORDS = {"$defs", "title", "description", "default"}  # keywords that never refuse a message
Schema = dict[str, Any]


def current() -> dict[str, Schema]:
    """Map each message's name to the schema that the code has now."""
    return {name: _tidy(msgspec.json.schema(message)) for name, message in MESSAGES.items()}


def frozen(folder: Path) -> dict[str, Schema]:
    """Map each message's name to the schema in a folder."""
    return {path.stem: json.loads(path.read_text("utf-8")) for path in folder.glob("*.json")}


def freeze(folder: Path) -> None:
    """Write the current schemas into a folder, and delete those of messages that are gone."""
    folder.mkdir(exist_ok=True)
    for path in folder.glob("*.json"):
        path.unlink()
    for name, schema in current().items():
        text = json.dumps(schema, indent=2, sort_keys=True) + "\n"
        (folder / f"{name}.json").write_text(text, encoding="utf-8")


def incompatibilities(older: Schema, newer: Schema) -> list[str]:
    """Return why programs with these two schemas cannot talk to each other; empty if they can.

    The only allowed change of a message is a new field with a default.
    """
    return list(_compare(_resolved(older, older), _resolved(newer, newer), "$"))


def _compare(older: Any, newer: Any, path: str) -> Iterator[str]:
    if isinstance(older, list) and isinstance(newer, list) and len(older) == len(newer):
        for place, pair in enumerate(zip(older, newer, strict=True)):
            yield from _compare(*pair, f"{path}[{place}]")
        return
    if not (isinstance(older, dict) and isinstance(newer, dict)):
        if older != newer:
            yield f"{path}: {older!r} became {newer!r}"
        return
    if "properties" in older and "properties" in newer:
        yield from _compare_fields(older, newer, path)
        older, newer = (
            {key: value for key, value in schema.items() if key not in ("properties", "required")}
            for schema in (older, newer)
        )
    for key in sorted({*older, *newer} - WORDS):
        yield from _compare(older.get(key), newer.get(key), f"{path}.{key}")


def _compare_fields(older: Schema, newer: Schema, path: str) -> Iterator[str]:
    before, after = older["properties"], newer["properties"]
    needed_before, needed_after = {*older.get("required", ())}, {*newer.get("required", ())}
    for field in sorted({*before, *after}):
        if field not in after:
            yield f"{path}.{field} is gone: an older receiver wants it"
            continue
        if field not in needed_before and field in needed_after:
            yield f"{path}.{field} is required: an older sender leaves it out"
        if field in needed_before and field not in needed_after:
            yield f"{path}.{field} may be left out: an older receiver wants it"
        if field in before:
            yield from _compare(before[field], after[field], f"{path}.{field}")


def _tidy(part: Any) -> Any:
    """Take the indentation out of descriptions, which Python 3.13 no longer keeps in docstrings."""
    if isinstance(part, list):
        return [_tidy(each) for each in part]
    if not isinstance(part, dict):
        return part
    return {
        key: cleandoc(value) if key == "description" and isinstance(value, str) else _tidy(value)
        for key, value in part.items()
    }


def _resolved(part: Any, whole: Schema) -> Any:
    """Replace each reference by the schema that it refers to."""
    if isinstance(part, list):
        return [_resolved(each, whole) for each in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        return _resolved(whole["$defs"][part["$ref"].rpartition("/")[2]], whole)
    return {key: _resolved(value, whole) for key, value in part.items() if key != "$defs"}


def main() -> None:
    """Freeze the current schemas."""
    parser = argparse.ArgumentParser(prog="python -m contracts.schemas", description=main.__doc__)
    parser.add_argument("--release", action="store_true", help="freeze them as released, too")
    freeze(FOLDER)
    if parser.parse_args().release:
        freeze(RELEASED)


if __name__ == "__main__":
    main()
