"""Logs as one JSON object a line."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TextIO

__all__ = ["JsonFormatter", "logging_as_json"]

_LOGGERS = ("anybit", "uvicorn.error")


class JsonFormatter(logging.Formatter):
    """Writes time, level, logger and message; and the ``fields`` that the caller gave."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


@contextmanager
def logging_as_json(stream: TextIO, level: int = logging.INFO) -> Iterator[None]:
    """Send what the server logs to a stream, for a time.

    Parameters
    ----------
    stream : text file
    level : int
        Of `logging`.
    """
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [(one.handlers, one.propagate, one.level) for one in loggers]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    for one in loggers:
        one.handlers, one.propagate = [handler], False
        one.setLevel(level)
    try:
        yield
    finally:
        for one, (handlers, propagate, old_level) in zip(loggers, before, strict=True):
            one.handlers, one.propagate = handlers, propagate
            one.setLevel(old_level)
