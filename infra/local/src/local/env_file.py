"""The one file of settings, `.env`: made from `.env.example` on the first run, then only read."""

import difflib
import re
import secrets
import sys
from collections.abc import Collection
from pathlib import Path

from local.errors import LocalError
from local.secret_file import write_secret

PLACEHOLDER = "<generated>"
LINE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)")
OPTIONAL = re.compile(r"^#([A-Za-z_][A-Za-z0-9_]*)=", re.MULTILINE)  # to uncomment
# What Docker Compose, which reads the file too, and this module understand alike.
PLAIN = re.compile(r"""[^\s#'"\\$`]*|"[^"\\$`]*"|'[^']*(?<!\\)'""")
# What processes are told of the private servers.
COMPOSED = (
    *("BROKER_URL", "RABBITMQ_MANAGEMENT_URL"),
    *("DATABASE_URL", "LEDGER_URL", "FLOWER_BASIC_AUTH"),
)
LIKENESS = 0.85  # from 0 to 1, see difflib: from here on a name is one that was misspelt


def read_or_create(root: Path) -> dict[str, str]:
    """Read `.env` in the checkout `root`. Raises LocalError, by line, for what is not plain.

    Made if there is none, and completed if `.env.example` has gained variables since.
    """
    path = root / ".env"
    example = (root / ".env.example").read_text()
    if not path.exists():
        write_secret(path, _with_secrets(example))
        _say(f"Wrote {path}: ports, and secrets of its own.")
    values = _parse(path, known(root))
    names = [name for name, value in values.items() if PLACEHOLDER in value]
    if names:
        write_secret(path, _with_secrets(path.read_text()))
        _say(f"Gave {', '.join(names)} in {path} secrets of their own.")
        values = _parse(path, known(root))
    missing = [name for name in _parse(root / ".env.example") if name not in values]
    if missing:
        lines = [line for line in example.splitlines() if line.partition("=")[0] in missing]
        added = _with_secrets("\n".join(["", "# Added when .env.example gained them:", *lines, ""]))
        write_secret(path, path.read_text().rstrip("\n") + "\n" + added)
        values = _parse(path, known(root))
    return values


def extra_apps(root: Path) -> str:
    """Read which apps a checkout has added to web, if it has an `.env` at all."""
    path = root / ".env"
    return _parse(path, known(root)).get("EXTRA_APPS", "") if path.exists() else ""


def known(root: Path) -> set[str]:
    """The names in `.env.example`, also of the optional settings that are comments there."""
    path = root / ".env.example"
    return {*_parse(path), *OPTIONAL.findall(path.read_text())}


def _parse(path: Path, names: Collection[str] = ()) -> dict[str, str]:
    """Read assignments; a name that is nearly one of `names` is refused, any other is taken."""
    values: dict[str, str] = {}
    problems = []
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        problem = _problem(line, values, names)
        if problem:
            problems.append(f"  line {number}: {problem}")
        else:
            name, _, value = line.partition("=")
            values[name] = value[1:-1] if value[:1] in ("'", '"') else value
    if problems:
        rule = "Each line is NAME=value, NAME='any value', or a comment that begins with #."
        raise LocalError("\n".join([f"{path} cannot be taken as it is:", *problems, rule]))
    return values


def _problem(line: str, before: Collection[str], names: Collection[str]) -> str | None:
    """What is wrong with a line, and what to write instead; without the value, maybe a secret."""
    assignment = LINE.fullmatch(line)
    if assignment is None:
        found = re.match(r"\s*(export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=", line)
        if found is None:
            return "this is no assignment. Write NAME=value, or # in front of a comment."
        extra = "`export`" if found[1] else "spaces around the name or in front of the value"
        return f"without {extra}, please: write {found[2]}=…"
    name, value = assignment.groups()
    if name in before:
        return f"{name} has a value in a line above. Remove one of the two."
    if not value.isprintable() or "\N{REPLACEMENT CHARACTER}" in value:
        return f"{name} holds a character that cannot be seen or is not UTF-8. Write it anew."
    if value != value.lstrip():
        return f"a space follows {name}=, please without: write {name}=…"
    if not PLAIN.fullmatch(value):
        return _how_to_quote(name, value)
    if name in COMPOSED:
        return f"{name} is put together by `make` from ports and passwords. Remove this line."
    return _misspelt(name, names)


def _misspelt(name: str, names: Collection[str]) -> str | None:
    if name.removesuffix("_FILE") in names:
        return None
    near = difflib.get_close_matches(name.upper(), names, n=1, cutoff=LIKENESS)
    if not near:
        return None
    return (
        f"there is no setting {name}. Write {near[0]}=…, if you mean that; a setting of a service "
        f"of your own is made known by a line #{name}= in .env.example."
    )


def _how_to_quote(name: str, value: str) -> str:
    if re.fullmatch(r"""(["']).*\1\s+(#.*)?""", value):
        return f"something follows the value of {name}. Put a comment on a line of its own."
    if re.search(r"\s#", value):
        return (
            f"{name} is followed by a comment: put that on a line of its own; or, if it belongs to "
            f"the value, write {name}='…'"
        )
    if "'" in value[1:-1]:
        return f'the value of {name} holds a quote. Write {name}="…", without " \\ $ ` in it.'
    return f"the value of {name} has spaces or one of # \" \\ $ ` in it. Write {name}='…'"


def _with_secrets(text: str) -> str:
    """Replace each placeholder by a secret of its own, in assignments but not in comments."""
    return "".join(
        line
        if line.lstrip().startswith("#")
        else line.replace(PLACEHOLDER, secrets.token_urlsafe(48))
        for line in text.splitlines(keepends=True)
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # what a command prints is for programs
