"""Structured logs, the same in every process: JSON in production, readable in a terminal."""

import logging
import logging.config
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

FORMATS = ("json", "console")
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
# Celery's own lines on each task hold its arguments and result; ContractTask logs without them.
TALKATIVE = ("celery.app.trace", "celery.worker.strategy")
POOL = "multiprocessing"  # billiard's logger, whose lines do not reach the root logger
SECRET_NAME = re.compile(
    r"passw|secret|token|authorization|signing_key|activate|verification", re.I
)
URL_PASSWORD = re.compile(r"(?<=://)([^/:@\s]*):[^@\s/]+(?=@)")


def configure(service: str, *, log_format: str = "json", level: str = "INFO") -> None:
    """Send structlog's and the standard library's records to standard error in one format."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.stdlib.ExtraAdder(),
        _drop_task_data,
        *_origin(service, log_format),
        structlog.processors.format_exc_info,  # as plain text: no local variables, and redactable
        redact,
    ]
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "structured": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "foreign_pre_chain": shared,
                    "processors": [
                        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                        *_renderers(log_format),
                    ],
                }
            },
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "structured"}},
            "root": {"handlers": ["stderr"], "level": level},
            "loggers": {name: {"level": "WARNING"} for name in TALKATIVE}
            | {POOL: {"handlers": ["stderr"], "propagate": False}},
        }
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Hide values whose names suggest a secret, and passwords in URLs."""
    for name, value in event.items():
        if SECRET_NAME.search(name):
            event[name] = "…"
        elif isinstance(value, str):
            event[name] = URL_PASSWORD.sub(r"\1:…", value)
    return event


def _drop_task_data(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    event.pop("data", None)  # Celery adds the arguments to each line about a task
    return event


def _origin(service: str, log_format: str) -> list[structlog.types.Processor]:
    """Add time and service. On a terminal, neither a date nor the service is needed."""
    if log_format == "console":
        return [structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)]
    return [structlog.processors.TimeStamper(fmt="iso", utc=True), _name_service(service)]


def _name_service(service: str) -> structlog.types.Processor:
    def add(
        _logger: Any, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        event["service"] = service
        return event

    return add


def _renderers(log_format: str) -> list[structlog.types.Processor]:
    if log_format == "json":
        return [structlog.processors.JSONRenderer(default=str)]
    return [structlog.dev.ConsoleRenderer(pad_event_to=30, colors=sys.stderr.isatty())]
