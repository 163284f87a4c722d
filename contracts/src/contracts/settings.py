"""Settings from the environment: each read once, checked at start-up, refused by name."""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from contracts.errors import SettingsError

T = TypeVar("T")
REQUIRED = None
# What documentation and development use, and what whoever reads them would try first.
EXAMPLE = re.compile(r"<generated>|only-an-example|changeme|:(password|guest)@|//mailpit\b")
DEVELOPMENT, PRODUCTION = "development", "production"
TRUE, FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}


class Environment:
    """Reads settings and collects what is wrong with them, so that one start names every problem.

    A variable ``X`` may also be given as ``X_FILE``, the path of a file that holds the value,
    which is how Docker and Kubernetes hand over secrets. A secret that is an example is refused,
    unless ``WARREN_ENVIRONMENT`` is ``development``.
    """

    def __init__(self, variables: Mapping[str, str] = os.environ) -> None:
        self._variables = variables
        self._problems: list[str] = []
        stages = (PRODUCTION, DEVELOPMENT)
        self.stage = self.choice("WARREN_ENVIRONMENT", options=stages, default=PRODUCTION)
        self._takes_examples = self.stage == DEVELOPMENT

    def text(self, name: str, *, example: str, default: str | None = REQUIRED) -> str:
        """Read a string; an empty one counts as missing unless ``default`` is given."""
        return self._read(name, str, example, default, "")

    def secret(
        self, name: str, *, example: str, min_length: int = 1, default: str | None = REQUIRED
    ) -> str:
        """Read a secret of at least ``min_length`` characters; no message ever shows it."""

        def parse(raw: str) -> str:
            if len(raw) < min_length:
                raise ValueError(f"it must have at least {min_length} characters")
            return raw

        return self._read(name, parse, example, default, "", shown=False)

    def url(self, name: str, *, schemes: tuple[str, ...], example: str) -> str:
        """Read a URL with one of ``schemes``; never shown, for it may hold a password."""

        def parse(raw: str) -> str:
            parts = urlsplit(raw)
            if parts.scheme not in schemes or not parts.hostname:
                raise ValueError(f"it must be a URL that starts with {' or '.join(schemes)}://")
            _check_port(raw)
            return raw

        return self._read(name, parse, example, REQUIRED, "", shown=False)

    def integer(
        self, name: str, *, default: int, minimum: int = 0, maximum: int | None = None
    ) -> int:
        """Read a whole number of at least ``minimum`` and at most ``maximum``."""

        def parse(raw: str) -> int:
            if (value := int(raw)) < minimum:
                raise ValueError(f"it must be at least {minimum}")
            if maximum is not None and value > maximum:
                raise ValueError(f"it must be at most {maximum}")
            return value

        return self._read(name, parse, str(default), default, 0)

    def seconds(
        self, name: str, *, default: float, minimum: float = 0, maximum: float | None = None
    ) -> float:
        """Read a duration in seconds, greater than zero, from ``minimum`` to ``maximum``."""

        def parse(raw: str) -> float:
            if not 0 < (value := float(raw)) < float("inf"):
                raise ValueError("it must be a number of seconds greater than 0")
            if value < minimum:
                raise ValueError(f"it must be at least {minimum:g} seconds")
            if maximum is not None and value > maximum:
                raise ValueError(f"it must be at most {maximum:g} seconds")
            return value

        return self._read(name, parse, str(default), default, 0.0)

    def flag(self, name: str, *, default: bool, in_production: bool = True) -> bool:
        """Read yes or no; without ``in_production`` a yes is refused there."""

        def parse(raw: str) -> bool:
            if raw.lower() not in TRUE | FALSE:
                raise ValueError("it must be true or false")
            if raw.lower() in TRUE and self.stage == PRODUCTION and not in_production:
                raise ValueError("it is for WARREN_ENVIRONMENT=development alone")
            return raw.lower() in TRUE

        return self._read(name, parse, str(default).lower(), default, False)

    def choice(self, name: str, *, options: tuple[str, ...], default: str) -> str:
        """Read one of ``options``."""

        def parse(raw: str) -> str:
            if raw not in options:
                raise ValueError(f"it must be one of {', '.join(options)}")
            return raw

        return self._read(name, parse, default, default, "")

    def items(self, name: str, *, example: str, default: str | None = REQUIRED) -> list[str]:
        """Read a list of strings separated by commas."""
        return [
            part.strip() for part in self.text(name, example=example, default=default).split(",")
        ]

    def parsed(
        self,
        name: str,
        parse: Callable[[str], T],
        *,
        example: str,
        placeholder: T,
        default: T | None = REQUIRED,
    ) -> T:
        """Read what ``parse`` makes of a setting, which is required unless ``default`` is given.

        ``parse`` raises ValueError, whose text is shown and so must not repeat a secret; the
        value itself is never shown. ``placeholder`` stands in until ``check`` has refused it.
        """
        return self._read(name, parse, example, default, placeholder, shown=False)

    def check(self) -> None:
        """Raise SettingsError if any setting read so far is missing or wrong."""
        if self._problems:
            raise SettingsError("\n  ".join(["the settings are not right:", *self._problems]))

    def _read(
        self,
        name: str,
        parse: Callable[[str], T],
        example: str,
        default: T | None,
        placeholder: T,
        *,
        shown: bool = True,
    ) -> T:
        try:
            raw = self._raw(name)
            if raw:
                if not shown and not self._takes_examples and EXAMPLE.search(raw):
                    raise ValueError("it is an example, for WARREN_ENVIRONMENT=development alone")
                return parse(raw)
        except (ValueError, OSError) as error:
            value = f"={raw!r}" if shown and not isinstance(error, OSError) else ""
            self._problems.append(f"{name}{value} is wrong: {error}. Example: {name}={example}")
            return placeholder
        if default is not None:
            return default
        self._problems.append(f"{name} is missing. Example: {name}={example}")
        return placeholder

    def _raw(self, name: str) -> str:
        path = self._variables.get(f"{name}_FILE", "")
        if path:
            return Path(path).read_text(encoding="utf-8").strip()
        return self._variables.get(name, "").strip()


def _check_port(url: str) -> None:
    try:
        _ = urlsplit(url).port
    except ValueError:  # whose text would repeat a part of a password that holds a slash
        message = "its port must be a number, and / ? # in its password percent-encoded"
        raise ValueError(message) from None
