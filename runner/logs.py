"""The runner's log: a line of JSON per change of state, with ids and never a text, number, code or token."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

from runner.log_events import LogEvent

LOGGER = logging.getLogger("runner")


def log(event: LogEvent, *, level: int = logging.INFO, error: BaseException | None = None, **fields: object) -> None:
    """Writes a line for a change of state. Of an error only its type and place are kept: texts hold numbers."""
    if error is not None:
        fields["error"] = type(error).__name__
        fields["at"] = _place(error)
    LOGGER.log(level, event, extra={"fields": fields})


def start(level: str, stream: TextIO = sys.stderr) -> None:
    """Sends the runner's lines, and the warnings of libraries, to ``stream`` as JSON."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(OneLine())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    LOGGER.setLevel(level)


class OneLine(logging.Formatter):
    """A record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        own = record.name == LOGGER.name
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            # A library's message may contain anything: its name and place are enough.
            "event": record.getMessage() if own else f"{record.name}:{record.lineno}",
            **getattr(record, "fields", {}),
        }
        return json.dumps(line, ensure_ascii=False, default=str)


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    place = ""
    while trace is not None:
        code = trace.tb_frame.f_code
        place = f"{code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place
