"""
The log: one line for each record, to stderr, through one handler. For people on a terminal, as JSON for machines.

Everything that is written goes through the redactor: message, arguments, traceback, stack and extra fields.
A record that cannot be formatted is told without its arguments, for they may be what must not be read.
There is no access log: what was asked stands in the ledger.
"""

import datetime as dt
import logging
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final, Literal, TextIO

from typing_extensions import override

from foz.telemetry.redact import Redactor
from foz.wire import json

LEVELS: Final = ("debug", "info", "warning", "error")
Format = Literal["auto", "text", "json"]
_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""What every record has; the rest was given as `extra`."""
_QUIET = (
    "python_multipart.multipart",
    "uvicorn.access",
)
_LOUD_AT_DEBUG = ("asyncio", "uvicorn.error")
_LONGEST = 64 * 1024
_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}
_ESCAPES_BUT_LINES = {code: text for code, text in _ESCAPES.items() if code not in {0x09, 0x0A}}


class _Said:
    """A record's words, without secrets."""

    def __init__(self, record: logging.LogRecord, redact: Redactor) -> None:
        self.message = _short(redact(_message(record)))
        self.where = redact(record.name)
        self.trace = redact(_trace(record))[-_LONGEST:]
        self.extra = {
            redact(key): _short(redact(str(value))) for key, value in vars(record).items() if key not in _PLAIN
        }
        self.at = dt.datetime.fromtimestamp(record.created, tz=dt.UTC)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(text)} characters)"


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
        return f"{record.msg!r} with arguments that do not fit it: {type(error).__name__}"


def _trace(record: logging.LogRecord) -> str:
    said = []
    if record.exc_info and record.exc_info[0] is not None:
        said.append(logging.Formatter().formatException(record.exc_info))
    elif record.exc_text:
        said.append(record.exc_text)
    if record.stack_info:
        said.append(record.stack_info)
    return "\n".join(said)


class LineFormatter(logging.Formatter):
    """For people: time, level, who, what; a traceback follows on lines of its own."""

    def __init__(self, redact: Redactor) -> None:
        super().__init__()
        self._redact = redact

    @override
    def format(self, record: logging.LogRecord) -> str:
        said = _Said(record, self._redact)
        extra = "".join(f" {key}={value}" for key, value in said.extra.items())
        words = f"{said.message}{extra}".translate(_ESCAPES)
        line = f"{said.at:%H:%M:%S} {record.levelname.lower():7} {said.where.translate(_ESCAPES)}: {words}"
        return f"{line}\n{said.trace.translate(_ESCAPES_BUT_LINES)}" if said.trace else line


class JsonFormatter(logging.Formatter):
    """For machines: one JSON object a line."""

    def __init__(self, redact: Redactor) -> None:
        super().__init__()
        self._redact = redact

    @override
    def format(self, record: logging.LogRecord) -> str:
        said = _Said(record, self._redact)
        line: dict[str, object] = {
            "at": said.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": said.where,
            "message": said.message,
        }
        if said.trace:
            line["trace"] = said.trace
        if said.extra:
            line["extra"] = said.extra
        return _decoded(line)


def _decoded(line: dict[str, object]) -> str:
    try:
        return json.encode(line).decode()
    except UnicodeEncodeError:  # a lone surrogate, which JSON in UTF-8 cannot say
        return json.encode(_without_surrogates(line)).decode()


def _without_surrogates(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(one) for key, one in value.items()}
    return value


class _Handler(logging.StreamHandler[TextIO]):
    """Writes to stderr, and never tells the arguments of a record that it cannot write."""

    @override
    def handleError(self, record: logging.LogRecord) -> None:
        kind = sys.exc_info()[0]
        name = "an error" if kind is None else kind.__name__
        try:
            self.stream.write(f"a log record of {record.pathname}:{record.lineno} could not be written: {name}\n")
        except (OSError, ValueError):
            return  # the log itself is gone: there is nobody left to tell


def _hook(name: str) -> Callable[[type[BaseException], BaseException | None, TracebackType | None], None]:
    log = logging.getLogger(name)

    def tell(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None and not issubclass(kind, KeyboardInterrupt | SystemExit):
            log.critical("not caught: %s", kind.__name__, exc_info=(kind, error, trace))

    return tell


def set_up(level: str, redact: Redactor, *, format: Format = "auto", stream: TextIO | None = None) -> None:
    """
    Sends every logger of the process through one handler, and uncaught errors too.
    `level` is one of LEVELS; `auto` is text on a terminal, else JSON. Called again, it replaces what was set up before.
    """
    stream = sys.stderr if stream is None else stream
    handler = _Handler(stream)
    for_people = format == "text" or (format == "auto" and stream.isatty())
    handler.setFormatter(LineFormatter(redact) if for_people else JsonFormatter(redact))
    root = logging.getLogger()
    for old in [one for one in root.handlers if isinstance(one, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).disabled = True
    if level != "debug":
        for name in _LOUD_AT_DEBUG:
            logging.getLogger(name).setLevel(logging.WARNING)
    main, other = _hook("foz"), _hook("foz.thread")
    sys.excepthook = main
    threading.excepthook = lambda given: other(given.exc_type, given.exc_value, given.exc_traceback)
    sys.unraisablehook = lambda given: main(given.exc_type, given.exc_value, given.exc_traceback)
