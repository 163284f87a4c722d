"""A computation as the worker knows it: a function, its JSON Schemas and its limits."""

import inspect
import traceback
from collections.abc import Callable
from typing import Any, get_type_hints

import msgspec
import structlog
from billiard.exceptions import SoftTimeLimitExceeded

from compute import json_schema, json_values
from compute.declaration import Declaration
from compute.limits import LONGEST_TIME_LIMIT, Limits
from contracts.errors import PermanentError, TransientError, WarrenError
from contracts.events import Computation
from runtime.text import storable_text

PASSED_THROUGH = (TransientError, PermanentError, SoftTimeLimitExceeded, MemoryError)

LONGEST_MESSAGE = 1000  # characters of an error's words

log = structlog.get_logger("warren.computation")


class DefinitionError(WarrenError):
    """A function cannot be a computation; the message names it and says why."""


class Definition:
    """A declared function with its JSON Schemas and limits, ready to be run."""

    def __init__(
        self, function: Callable[..., Any], declaration: Declaration, defaults: Limits
    ) -> None:
        """Read the function's signature and docstring.

        Raises DefinitionError if a type hint or the docstring is missing, or JSON has no form for a
        type.
        """
        self.name = declaration.name
        self.limits = defaults.changed(declaration.time_limit, declaration.memory_limit)
        self._function = function
        if self.limits.soft_time_limit > LONGEST_TIME_LIMIT:
            raise self._refuse(f"its time_limit is more than {LONGEST_TIME_LIMIT} s")
        self._summary, self._description = self._documentation()
        self._arguments, self._result = self._types()
        try:
            self._schemas = json_schema.of(self._arguments), json_schema.of(self._result)
        except TypeError as error:
            raise self._refuse(str(error)) from error

    def run(self, arguments: Any) -> Any:
        """Call the function; returns its result as JSON types.

        Raises PermanentError for wrong arguments, a wrong result, and any error of the function.
        Only TransientError and the errors that ``limits.enforced`` translates pass unchanged.
        """
        decoded = self._decode(arguments)
        return self._encode(self._call(decoded))

    def announcement(self) -> Computation:
        """Describe the computation to web."""
        arguments, result = self._schemas
        return Computation(
            name=self.name,
            summary=self._summary,
            description=self._description,
            arguments=arguments,
            result=result,
            soft_time_limit=self.limits.soft_time_limit,
            time_limit=self.limits.time_limit,
            memory_limit=self.limits.memory_limit,
        )

    def _decode(self, arguments: Any) -> msgspec.Struct:
        for flaw in json_values.flaws(arguments):
            raise PermanentError(f"{self.name}: {flaw}", "InvalidArguments")
        try:
            decoded: msgspec.Struct = msgspec.convert(
                json_values.whole_numbers(arguments), self._arguments
            )
        except msgspec.ValidationError as error:
            raise PermanentError(f"{self.name}: {error}", "InvalidArguments") from None
        return decoded

    def _call(self, arguments: msgspec.Struct) -> Any:
        named = {name: getattr(arguments, name) for name in arguments.__struct_fields__}
        try:
            return self._function(**named)
        except PASSED_THROUGH:
            raise
        except Exception as error:
            kind, frame = type(error).__name__, traceback.extract_tb(error.__traceback__)[-1]
            # The log names the place only: the error's text may quote the client's arguments.
            log.warning("computation raised", kind=kind, file=frame.filename, line=frame.lineno)
            raise PermanentError(storable_text(error, LONGEST_MESSAGE), kind) from error

    def _encode(self, result: Any) -> Any:
        try:
            value = msgspec.to_builtins(result, str_keys=True, enc_hook=_from_numpy)
            msgspec.convert(value, self._result)  # a result has to follow the announced schema
        except (msgspec.ValidationError, TypeError) as error:
            raise self._invalid_result(str(error)) from error
        for flaw in json_values.flaws(value):
            raise self._invalid_result(flaw)
        return value

    def _invalid_result(self, reason: str) -> PermanentError:
        return PermanentError(
            f"the result of {self.name} cannot be sent: {reason}", "InvalidResult"
        )

    def _documentation(self) -> tuple[str, str]:
        summary, _, description = (inspect.getdoc(self._function) or "").partition("\n")
        if not summary:
            raise self._refuse("it has no docstring, which is what clients read")
        return summary, description.strip()

    def _types(self) -> tuple[type[msgspec.Struct], Any]:
        try:
            hints = get_type_hints(self._function, include_extras=True)
        except NameError as error:
            raise self._refuse(f"its type hints: {error}") from error
        fields = [
            self._field(parameter, hints)
            for parameter in inspect.signature(self._function).parameters.values()
        ]
        if "return" not in hints:
            raise self._refuse("its result has no type hint")
        arguments = msgspec.defstruct(
            self.name, fields, kw_only=True, frozen=True, forbid_unknown_fields=True
        )
        return arguments, hints["return"]

    def _field(self, parameter: inspect.Parameter, hints: dict[str, Any]) -> Any:
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise self._refuse(f"{parameter} cannot be given by name")
        if parameter.name not in hints:
            raise self._refuse(f"{parameter.name} has no type hint")
        field = (parameter.name, hints[parameter.name])
        return field if parameter.default is parameter.empty else (*field, parameter.default)

    def _refuse(self, reason: str) -> DefinitionError:
        where = f"{self._function.__module__}.{self._function.__qualname__}"
        return DefinitionError(f"{where} cannot be a computation: {reason}")


def _from_numpy(value: Any) -> Any:
    # Arrays and scalars of numpy have tolist(). For other objects there is no JSON.
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"no JSON for a value of type {type(value).__name__}")
