"""All computations of this worker, found in the modules that hold them."""

import importlib
import pkgutil
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from types import ModuleType

from compute import computations
from compute.declaration import MARK
from compute.definition import Definition, DefinitionError
from compute.limits import Limits
from contracts import events
from contracts.errors import PermanentError, SettingsError


class Catalogue:
    """Computations by name."""

    def __init__(self, modules: Iterable[ModuleType], defaults: Limits) -> None:
        """Collect the computations that ``modules`` declare.

        Raises DefinitionError if a function cannot be a computation, or two have the same name.
        """
        self._definitions: dict[str, Definition] = {}
        for definition in _definitions(modules, defaults):
            if definition.name in self._definitions:
                raise DefinitionError(f"there are two computations named {definition.name!r}")
            self._definitions[definition.name] = definition

    @classmethod
    def discover(cls, extra_modules: Iterable[str], defaults: Limits) -> "Catalogue":
        """Collect this package's computations, and those of ``extra_modules`` (their names).

        Raises SettingsError if a module cannot be imported, and DefinitionError.
        """
        own = (module.name for module in pkgutil.iter_modules(computations.__path__))
        names = [*(f"{computations.__name__}.{name}" for name in own), *extra_modules]
        return cls([_import(name) for name in names], defaults)

    def find(self, name: str) -> Definition:
        """Return a computation. Raises PermanentError if there is none of that name."""
        if name not in self._definitions:
            raise PermanentError(f"there is no computation named {name!r}", "UnknownComputation")
        return self._definitions[name]

    def announcement(self, worker: str) -> events.Catalogue:
        """Describe all computations to web, as those of the node ``worker``."""
        return events.Catalogue(
            worker=worker,
            at=datetime.now(UTC),
            computations=[each.announcement() for _, each in sorted(self._definitions.items())],
        )

    @property
    def largest_memory_limit(self) -> int:
        """MiB that the most demanding computation may use."""
        return max(each.limits.memory_limit for each in self._definitions.values())


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        message = f"the module {name!r} of COMPUTE_MODULES cannot be imported: {error}"
        raise SettingsError(message) from error


def _definitions(modules: Iterable[ModuleType], defaults: Limits) -> Iterator[Definition]:
    for module in modules:
        for value in vars(module).values():
            # A function that a module has only imported belongs to another module.
            if hasattr(value, MARK) and value.__module__ == module.__name__:
                yield Definition(value, getattr(value, MARK), defaults)
