"""Messages on the wire are those that were reviewed, and old and new services understand them."""

import re
import subprocess
import sys
from typing import Any, Literal

import msgspec
import pytest

from contracts import schemas
from contracts.schemas import incompatibilities


def test_every_message_has_the_schema_that_was_frozen() -> None:
    found = schemas.frozen(schemas.FOLDER)
    assert schemas.current() == found, "if you meant to change a message, run contracts.schemas"


@pytest.mark.parametrize("name", sorted(schemas.frozen(schemas.RELEASED)))
def test_the_last_release_understands_each_message_and_is_understood(name: str) -> None:
    current = schemas.current()
    assert name in current, "an older service still sends it"
    assert incompatibilities(schemas.frozen(schemas.RELEASED)[name], current[name]) == []


def test_a_message_that_is_gone_loses_its_file(tmp_path: Any) -> None:
    (tmp_path / "gone.json").write_text("{}")
    schemas.freeze(tmp_path)
    assert schemas.frozen(tmp_path) == schemas.current()


def test_the_command_explains_itself() -> None:
    command = [sys.executable, "-m", "contracts.schemas", "--help"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "--release" in run.stdout


class Part(msgspec.Struct):
    name: str


class Older(msgspec.Struct, omit_defaults=True):
    key: str
    kind: Literal["a", "b"] = "a"
    part: Part | None = None
    parts: list[Part] = []


class LargerPart(msgspec.Struct):
    name: str
    colour: str


class RenamedPart(msgspec.Struct):
    name: str
    colour: str = "red"


def changed(**fields: Any) -> type[msgspec.Struct]:
    """Make a newer version: a field of type None is removed."""
    kept: dict[str, Any] = {
        "key": (str, msgspec.NODEFAULT),
        "kind": (Literal["a", "b"], "a"),
        "part": (Part | None, None),
        "parts": (list[Part], msgspec.field(default_factory=list)),
    } | fields
    found = [(name, *each) for name, each in kept.items() if each]
    return msgspec.defstruct("Newer", found, kw_only=True, omit_defaults=True)


def understands(
    sender: type[msgspec.Struct], receiver: type[msgspec.Struct], **values: Any
) -> bool:
    sent = msgspec.json.encode(msgspec.convert(values, sender))
    try:
        msgspec.json.decode(sent, type=receiver)
    except msgspec.ValidationError:
        return False
    return True


@pytest.mark.parametrize(
    "newer",
    [
        changed(),
        changed(colour=(str, "red")),
        changed(part=(RenamedPart | None, None), parts=(list[RenamedPart], [])),
    ],
    ids=["none", "a field with a default", "a field in a part, with a default"],
)
def test_a_change_that_is_allowed_is_understood_both_ways(newer: type[msgspec.Struct]) -> None:
    assert incompatibilities(*map(msgspec.json.schema, (Older, newer))) == []
    values = {"key": "x", "kind": "b", "part": {"name": "p"}, "parts": [{"name": "q"}]}
    assert understands(Older, newer, **values)
    assert understands(newer, Older, **values)


@pytest.mark.parametrize(
    ("newer", "why", "values"),
    [
        (changed(key=None), r"\$\.key is gone: an older receiver wants it", {}),
        (changed(key=(int, msgspec.NODEFAULT)), r"\$\.key\.type: 'string' became 'integer'",
         {"key": 1}),
        (changed(key=(str, "x")), r"\$\.key may be left out", {"key": "x"}),
        (changed(colour=(str, msgspec.NODEFAULT)), r"\$\.colour is required",
         {"key": "x", "colour": "red"}),
        (changed(kind=(Literal["a", "b", "c"], "a")), r"\$\.kind\.enum", {"key": "x", "kind": "c"}),
        (changed(kind=(Literal["a"], "a")), r"\$\.kind\.enum", {"key": "x"}),
        (changed(parts=(list[LargerPart], [])), r"\$\.parts\.items\.colour is required",
         {"key": "x", "parts": []}),
        (changed(part=(LargerPart | None, None)), r"\$\.part\.anyOf\[\d\]\.colour is required",
         {"key": "x"}),
    ],
    ids=["removed", "retyped", "optional", "new and required", "value added", "value removed",
         "part of a list", "part"],
)  # fmt: skip
def test_a_change_that_one_side_does_not_understand_is_told(
    newer: type[msgspec.Struct], why: str, values: dict[str, Any]
) -> None:
    told = incompatibilities(*map(msgspec.json.schema, (Older, newer)))
    assert [each for each in told if re.search(why, each)], told
    older = {"key": "x", "kind": "b", "part": {"name": "p"}, "parts": [{"name": "q"}]}
    assert not (understands(Older, newer, **older) and understands(newer, Older, **values))
