"""The one file of settings, `.env`: made from `.env.example` on the first run, then only read."""

import secrets
from pathlib import Path

from honcho.environ import parse  # type: ignore[import-untyped]

from local.errors import LocalError
from local.secret_file import write_secret

PLACEHOLDER = "<generated>"


def read_or_create(root: Path) -> dict[str, str]:
    """Read `.env` in the checkout `root`.

    Made if there is none, and completed if `.env.example` has gained variables since.
    """
    path = root / ".env"
    example = (root / ".env.example").read_text()
    if not path.exists():
        write_secret(path, _with_secrets(example))
    values = _parse(path)
    missing = [name for name in parse(example) if name not in values]
    if missing:
        lines = [line for line in example.splitlines() if line.partition("=")[0] in missing]
        added = _with_secrets("\n".join(["", "# Added when .env.example gained them:", *lines, ""]))
        write_secret(path, path.read_text().rstrip("\n") + "\n" + added)
        values = _parse(path)
    return values


def _parse(path: Path) -> dict[str, str]:
    try:
        values: dict[str, str] = parse(path.read_text())
    except ValueError as error:
        raise LocalError(f"{path} cannot be read: {error}. Compare it with .env.example.") from None
    return values


def _with_secrets(text: str) -> str:
    """Replace each placeholder by a secret of its own, in assignments but not in comments."""
    return "".join(
        line if line.startswith("#") else line.replace(PLACEHOLDER, secrets.token_urlsafe(48))
        for line in text.splitlines(keepends=True)
    )
