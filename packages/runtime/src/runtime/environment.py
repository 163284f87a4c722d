"""Settings from the environment, each read once and checked at start-up. Errors name them."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from contracts.errors import SettingsError

T = TypeVar("T")
REQUIRED = None
# Secrets of the documentation and of development, which an attacker would try first.
EXAMPLE = re.compile(r"<generated>|only-an-example|changeme|:(password|guest)@|//mailpit\b")
DEVELOPMENT, PRODUCTION = "development", "production"
TRUE, FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}


@dataclass(frozen=True)
class Setting:
    """A setting that a process reads, as docs/settings.md shows it.

    ``default`` is written as in the environment; None means that the setting is required.
    """

    name: str
    meaning: str
    example: str
    default: str | None
    bounds: str = ""


class Environment:
    """Reads settings and collects their errors, so that one start names every problem.

    A variable ``X`` may also be given as ``X_FILE``, the path of a file that holds the value.
    Docker and Kubernetes hand over secrets in this way. A secret that is an example is refused,
    unless ``WARREN_ENVIRONMENT`` is ``development``.
    """

    def __init__(self, variables: Mapping[str, str] = os.environ) -> None:
        self._variables = variables
        self.settings: list[Setting] = []
        self._problems: list[str] = []
        stages = (PRODUCTION, DEVELOPMENT)
        self.stage = self.choice(
            "WARREN_ENVIRONMENT",
            options=stages,
            default=PRODUCTION,
            meaning="in production no process starts with a secret that is an example",
        )
        self._takes_examples = self.stage == DEVELOPMENT

    def text(
        self, name: str, *, example: str, default: str | None = REQUIRED, meaning: str = ""
    ) -> str:
        """Read a string; an empty one counts as missing unless ``default`` is given."""
        return self._read(Setting(name, meaning, example, default), str, default, "")

    def secret(
        self,
        name: str,
        *,
        example: str,
        min_length: int = 1,
        default: str | None = REQUIRED,
        meaning: str = "",
    ) -> str:
        """Read a secret of at least ``min_length`` characters; no message ever shows it."""

        def parse(raw: str) -> str:
            if len(raw) < min_length:
                raise ValueError(f"it must have at least {min_length} characters")
            return raw

        bounds = f"{min_length} or more characters"
        setting = Setting(name, meaning, example, default and "", bounds)
        return self._read(setting, parse, default, "", shown=False)

    def url(self, name: str, *, schemes: tuple[str, ...], example: str, meaning: str = "") -> str:
        """Read a URL with one of ``schemes``. It is never shown: it may hold a password."""

        def parse(raw: str) -> str:
            parts = urlsplit(raw)
            if parts.scheme not in schemes or not parts.hostname:
                raise ValueError(f"it must be a URL that starts with {' or '.join(schemes)}://")
            port_of(raw)  # raises ValueError for a wrong one
            return raw

        setting = Setting(name, meaning, example, REQUIRED)
        return self._read(setting, parse, REQUIRED, "", shown=False)

    def integer(
        self,
        name: str,
        *,
        default: int,
        minimum: int = 0,
        maximum: int | None = None,
        meaning: str = "",
        default_means: str = "",
    ) -> int:
        """Read a whole number of at least ``minimum`` and at most ``maximum``.

        ``default_means`` describes a default that is not the same everywhere ("the number of
        cores").
        """

        def parse(raw: str) -> int:
            if (value := int(raw)) < minimum:
                raise ValueError(f"it must be at least {minimum}")
            if maximum is not None and value > maximum:
                raise ValueError(f"it must be at most {maximum}")
            return value

        written, bounds = default_means or str(default), _bounds(minimum, maximum)
        setting = Setting(name, meaning, str(default), written, bounds)
        return self._read(setting, parse, default, 0)

    def seconds(
        self,
        name: str,
        *,
        default: float,
        minimum: float = 0,
        maximum: float | None = None,
        meaning: str = "",
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

        bounds = _bounds(minimum, maximum)
        setting = Setting(name, meaning, str(default), f"{default:g}", bounds)
        return self._read(setting, parse, default, 0.0)

    def flag(
        self, name: str, *, default: bool, in_production: bool = True, meaning: str = ""
    ) -> bool:
        """Read yes or no. A yes is refused in production if ``in_production`` is false."""

        def parse(raw: str) -> bool:
            if raw.lower() not in TRUE | FALSE:
                raise ValueError("it must be true or false")
            if raw.lower() in TRUE and self.stage == PRODUCTION and not in_production:
                raise ValueError("it is for WARREN_ENVIRONMENT=development alone")
            return raw.lower() in TRUE

        written = str(default).lower()
        bounds = "" if in_production else "not in production"
        setting = Setting(name, meaning, written, written, bounds)
        return self._read(setting, parse, default, False)

    def choice(
        self, name: str, *, options: tuple[str, ...], default: str, meaning: str = ""
    ) -> str:
        """Read one of ``options``."""

        def parse(raw: str) -> str:
            if raw not in options:
                raise ValueError(f"it must be one of {', '.join(options)}")
            return raw

        setting = Setting(name, meaning, default, default, f"one of {', '.join(options)}")
        return self._read(setting, parse, default, "")

    def items(
        self, name: str, *, example: str, default: str | None = REQUIRED, meaning: str = ""
    ) -> list[str]:
        """Read a list of strings separated by commas, without empty ones."""
        text = self.text(name, example=example, default=default, meaning=meaning)
        return [part.strip() for part in text.split(",") if part.strip()]

    def parsed(
        self,
        name: str,
        parse: Callable[[str], T],
        *,
        example: str,
        placeholder: T,
        default: T | None = REQUIRED,
        meaning: str = "",
        default_means: str = "",
    ) -> T:
        """Read a setting with ``parse``. It is required unless ``default`` is given.

        ``parse`` raises ValueError for a wrong value. The text of this error is shown and must not
        repeat a secret; the value itself is never shown. For a missing or wrong value
        ``placeholder`` is returned, and ``check`` raises later.
        """
        written = REQUIRED if default is REQUIRED else default_means or str(default)
        setting = Setting(name, meaning, example, written)
        return self._read(setting, parse, default, placeholder, shown=False)

    def check(self) -> None:
        """Raise SettingsError if any setting read so far is missing or wrong."""
        if self._problems:
            raise SettingsError("\n  ".join(["the settings are not right:", *self._problems]))

    def _read(
        self,
        setting: Setting,
        parse: Callable[[str], T],
        default: T | None,
        placeholder: T,
        *,
        shown: bool = True,
    ) -> T:
        self.settings.append(setting)
        name, example = setting.name, f"Example: {setting.name}={setting.example}"
        try:
            raw = self._raw(name)
            if raw:
                if not shown and not self._takes_examples and EXAMPLE.search(raw):
                    raise ValueError("it is an example, for WARREN_ENVIRONMENT=development alone")
                return parse(raw)
        except (ValueError, OSError) as error:
            value = f"={raw!r}" if shown and not isinstance(error, OSError) else ""
            self._problems.append(f"{name}{value} is wrong: {error}. {example}")
            return placeholder
        if default is not None:
            return default
        self._problems.append(f"{name} is missing. {example}")
        return placeholder

    def _raw(self, name: str) -> str:
        path = self._variables.get(f"{name}_FILE", "")
        if path:
            return Path(path).read_text(encoding="utf-8").strip()
        return self._variables.get(name, "").strip()


def _bounds(minimum: float, maximum: float | None) -> str:
    if maximum is not None:
        return f"from {minimum:g} to {maximum:g}" if minimum else f"at most {maximum:g}"
    return f"at least {minimum:g}" if minimum > 1 else ""


def port_of(url: str) -> int | None:
    """Return a URL's port, if it has one. Raises ValueError, which repeats no part of the URL."""
    try:
        return urlsplit(url).port
    except ValueError:  # its text would repeat a part of a password that holds a slash
        message = "its port must be a number, and / ? # in its password percent-encoded"
        raise ValueError(message) from None
