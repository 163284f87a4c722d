"""The one file of settings, `.env`. It is made from `.env.example`, and completed as that grows."""

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
# Values that this module and Docker Compose, which also reads the file, understand alike.
PLAIN = re.compile(r"""[^\s#'"\\$`]*|"[^"\\$`]*"|'[^']*(?<!\\)'""")
# Variables that `process_environment` composes. `.env` must not set them.
COMPOSED = (
    *("BROKER_URL", "RABBITMQ_MANAGEMENT_URL"),
    *("DATABASE_URL", "LEDGER_URL", "FLOWER_BASIC_AUTH"),
)
# Docker Compose reads these of the same file for itself.
# Source: https://docs.docker.com/compose/how-tos/environment-variables/envvars/
COMPOSE = {
    f"COMPOSE_{name}"
    for name in ("ANSI", "ENV_FILES", "FILE", "IGNORE_ORPHANS", "MENU", "PARALLEL_LIMIT",
                 "PATH_SEPARATOR", "PROFILES", "PROGRESS", "PROJECT_NAME", "REMOVE_ORPHANS")
}  # fmt: skip
LIKENESS = 0.85  # difflib's ratio (0 to 1): above it a name counts as misspelt


def read_or_create(root: Path) -> dict[str, str]:
    """Read `.env` in the checkout `root`. Raises LocalError, with each line that is not plain.

    The file is made if there is none, and completed if `.env.example` has gained variables.
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
    """Read EXTRA_APPS, the apps that a checkout has added to web; empty without an `.env`."""
    path = root / ".env"
    return _parse(path, known(root)).get("EXTRA_APPS", "") if path.exists() else ""


def known(root: Path) -> set[str]:
    """Read the names in `.env.example`, including optional settings, which are comments there."""
    path = root / ".env.example"
    return {*_parse(path), *OPTIONAL.findall(path.read_text())}


def warn_of_misspelt(names: Collection[str], environment: Collection[str]) -> None:
    """Warn of variables in an environment whose names are nearly those of settings.

    They are not refused, because they may belong to other programs.
    """
    for name in sorted({*environment} - {*names, *COMPOSED}):
        if near := _nearest(name, names):
            _say(f"{name} in the environment is no setting, and is not taken. Is it {near}?")


def _parse(path: Path, names: Collection[str] = ()) -> dict[str, str]:
    """Read assignments. A name that is nearly one of `names` is refused, any other is taken."""
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
    """Say what is wrong with a line and what to write instead; never the value, maybe a secret."""
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
    near = _nearest(name, names)
    if near is None:
        return None
    return (
        f"there is no setting {name}. Write {near}=…, if you mean that; a setting of a service "
        f"of your own is made known by a line #{name}= in .env.example."
    )


def _nearest(name: str, names: Collection[str]) -> str | None:
    if name in COMPOSE or name.removesuffix("_FILE") in names:
        return None
    return next(iter(difflib.get_close_matches(name.upper(), names, n=1, cutoff=LIKENESS)), None)


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
    print(text, file=sys.stderr)  # standard output may be read by a program


if __name__ == "__main__":  # for containers, before Compose takes any line silently
    try:
        _parse(Path(".env"), known(Path()))
    except LocalError as error:
        sys.exit(f"\n{error}")
