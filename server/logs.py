"""The log: one line for each thing that happens, with the id of the request that it belongs to."""

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Literal

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""Of the request that is being answered; empty outside of one."""


AS_TEXT = logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", datefmt="%H:%M:%S")
"""For people. An access line names its request's id, and so does the answer."""


class AsJson(logging.Formatter):
    """One JSON object in a line. What a record's `extra={"fields": …}` holds stands beside the message."""

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if identity := request_id.get():
            told["request_id"] = identity
        told |= getattr(record, "fields", {})
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False, default=str)


def configure(form: Literal["text", "json"] | None) -> None:
    """Sends all logs of this process to stderr; by default as text where a person reads it, else as JSON."""
    form = form or ("text" if sys.stderr.isatty() else "json")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(AsJson() if form == "json" else AS_TEXT)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
