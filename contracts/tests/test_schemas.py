"""The messages on the wire are the ones that were reviewed."""

import json

from contracts import schemas


def test_every_message_has_the_schema_that_was_frozen() -> None:
    frozen = {path.stem: json.loads(path.read_text()) for path in schemas.FOLDER.glob("*.json")}
    assert schemas.current() == frozen, "if you meant to change a message, run contracts.schemas"
