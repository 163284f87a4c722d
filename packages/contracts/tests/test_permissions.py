"""The broker's definitions in the repository are those that follow from the topology."""

import json

from contracts import permissions


def test_the_definitions_follow_from_the_topology() -> None:
    written = json.loads(permissions.FILE.read_text("utf-8"))
    assert written == permissions.definitions(), "run `python -m contracts.permissions`"
