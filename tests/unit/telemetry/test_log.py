"""What the log writes, for whom, and what it never writes."""

import io
import json
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from typing import NoReturn
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from foz.telemetry.log import Format, JsonFormatter, LineFormatter, set_up
from foz.telemetry.redact import Redactor

PYTEST = "_pytest.logging"


class Terminal(io.StringIO):
    """A stream that says it is one."""

    @override
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """Logging and hooks are as before, after each test."""
    root = logging.getLogger()
    before = (root.handlers[:], root.level, sys.excepthook, threading.excepthook, sys.unraisablehook)
    yield
    root.handlers[:], level, sys.excepthook, threading.excepthook, sys.unraisablehook = before
    root.setLevel(level)
    logging.getLogger("uvicorn.access").disabled = False
    for name in ("asyncio", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def begin(level: str, redact: Redactor, *, stream: io.StringIO, format: Format = "auto") -> None:
    """Sets up, with pytest's own handlers out of the way: they raise where ours must not."""
    logging.getLogger().handlers[:] = [one for one in logging.getLogger().handlers if type(one).__module__ != PYTEST]
    set_up(level, redact, format=format, stream=stream)


def raised(error: Exception, cause: Exception | None = None) -> Exception:
    try:
        raise error from cause
    except Exception as caught:  # noqa: BLE001 - whatever was given is what comes back
        return caught


class Awkward:
    """Its words cannot be had, and its repr tells a secret."""

    def __init__(self, secret: str) -> None:
        self.secret = secret

    @override
    def __str__(self) -> NoReturn:
        raise ZeroDivisionError(self.secret)

    @override
    def __repr__(self) -> str:
        return self.secret


Say = Callable[[logging.Logger, str], None]
WAYS: dict[str, Say] = {
    "message": lambda log, key: log.info(f"key is {key}"),  # noqa: G004 - one of the ways
    "argument": lambda log, key: log.info("key is %s.", key),
    "repr": lambda log, key: log.info("key is %r", key),
    "ascii": lambda log, key: log.info("key is %a", key),
    "bytes": lambda log, key: log.info("key is %s", key.encode()),
    "in a dict": lambda log, key: log.info("headers %s", {"x": [key, (b"k", key.encode())]}),
    "named argument": lambda log, key: log.info("key is %(key)s", {"key": key}),
    "within a word": lambda log, key: log.info("abc%sdef%s", key, key),
    "too few arguments": lambda log, key: log.info("%s %s", key),  # noqa: PLE1206 - the mistake is the test
    "wrong argument": lambda log, key: log.info("%d tokens", key),
    "no placeholder": lambda log, key: log.info("tokens", key),  # noqa: PLE1205 - the mistake is the test
    "awkward argument": lambda log, key: log.info("said %s", Awkward(key)),
    "awkward message": lambda log, key: log.info(Awkward(key)),
    "not a text": lambda log, key: log.info([key]),
    "error": lambda log, key: log.error("failed", exc_info=raised(ValueError(key))),
    "error as words": lambda log, key: log.error("failed: %s", raised(ValueError(key))),
    "cause": lambda log, key: log.error("failed", exc_info=raised(ValueError("x"), raised(KeyError(key)))),
    "group": lambda log, key: log.error("failed", exc_info=raised(ExceptionGroup("all", [OSError(1, key)]))),
    "stack": lambda log, key: log.info("here %s", key, stack_info=True),
    "extra": lambda log, key: log.info("here", extra={"key": key, "all": [key]}),
    "extra's name": lambda log, key: log.info("here", extra={key: 1}),
    "logger's name": lambda log, key: log.getChild(key).info("here"),
    "percent-encoded": lambda log, key: log.info("GET /?key=%s", quote(key)),
    "as JSON": lambda log, key: log.info("sent %s", json.dumps({"key": key})),
    "adapter": lambda log, key: logging.LoggerAdapter(log, {"key": key}).info("here"),
}  # fmt: skip


@given(
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=8, max_size=60),
    st.sampled_from(sorted(WAYS)),
    st.booleans(),
)
def test_a_registered_secret_never_leaves(secret: str, way: str, people: bool) -> None:
    """No form of a logging call writes a registered secret, for people or for machines."""
    stream = Terminal() if people else io.StringIO()
    begin("info", Redactor([secret]), stream=stream)
    try:
        WAYS[way](logging.getLogger("foz.test"), secret)
    finally:
        logging.getLogger().handlers[:] = []
    written = stream.getvalue()

    assert written.endswith("\n")
    assert secret not in written
    if not people and not written.startswith("a log record"):
        assert secret not in str(list(json.loads(written).values()))


@pytest.mark.parametrize("way", sorted(WAYS))
@pytest.mark.parametrize("secret", ["p'ss\"wörd\\n☃", "a b+c/d=e&f", "100%s-%d-sure"])
def test_awkward_secrets_never_leave(secret: str, way: str) -> None:
    """Quotes, escapes, spaces and placeholders in a secret do not help it out."""
    stream = io.StringIO()
    begin("info", Redactor([secret]), stream=stream)
    WAYS[way](logging.getLogger("foz.test"), secret)

    assert secret not in stream.getvalue()
    assert secret[:5] not in stream.getvalue()


def test_the_way_of_each_secret_is_one_that_writes_it() -> None:
    """Without registering, every way but those that cannot be formatted writes the secret."""
    secret, silent = (
        "open-sesame-open",
        {"awkward argument", "awkward message", "too few arguments", "wrong argument", "no placeholder"},
    )
    for way, say in WAYS.items():
        stream = io.StringIO()
        begin("info", Redactor(), stream=stream)
        say(logging.getLogger("foz.test"), secret)
        assert (secret in stream.getvalue()) == (way not in silent), way


def test_machines_get_one_object_a_line() -> None:
    """JSON has time, level, logger, message, and trace and extra where there are any."""
    stream = io.StringIO()
    begin("info", Redactor(), stream=stream)
    log = logging.getLogger("foz.door")
    log.info("two\nlines of %s", "text", extra={"request": "r1"})
    log.error("failed", exc_info=raised(ValueError("why")))
    first, second = map(json.loads, stream.getvalue().splitlines())

    assert first["message"] == "two\nlines of text"
    assert (first["level"], first["logger"], first["extra"]) == ("info", "foz.door", {"request": "r1"})
    assert first["at"].endswith("Z")
    assert len(first["at"]) == 24
    assert second["trace"].endswith("ValueError: why")


def test_people_get_one_line_and_the_traceback_below() -> None:
    """On a terminal a record is one line, whatever the caller put in it; control characters are spelled out."""
    stream = Terminal()
    begin("info", Redactor(), stream=stream)
    log = logging.getLogger("foz.door")
    log.warning("model %s", "x\n12:00:00 info    foz: all is well\x1b[2J", extra={"request": "r1"})
    log.error("failed", exc_info=raised(ValueError("why\x1b")))
    first, second, *trace = stream.getvalue().splitlines()

    assert first[8:] == r" warning foz.door: model x\x0a12:00:00 info    foz: all is well\x1b[2J request=r1"
    assert second.endswith("foz.door: failed")
    assert trace[-1] == r"ValueError: why\x1b"


@pytest.mark.parametrize("stream", [Terminal(), io.StringIO()])
def test_the_format_may_be_chosen(stream: io.StringIO) -> None:
    """`text` and `json` are what they say, terminal or not."""
    kinds: dict[Format, type[logging.Formatter]] = {"text": LineFormatter, "json": JsonFormatter}
    for format, kind in kinds.items():
        begin("info", Redactor(), format=format, stream=stream)
        assert type(logging.getLogger().handlers[-1].formatter) is kind


def test_the_level_is_obeyed_and_there_is_no_access_log() -> None:
    """Below the level nothing is written; uvicorn's access log never is."""
    stream = io.StringIO()
    begin("warning", Redactor(), stream=stream)
    logging.getLogger("foz").info("hush")
    logging.getLogger("uvicorn.access").error("GET /")
    assert stream.getvalue() == ""

    begin("debug", Redactor(), stream=stream)
    logging.getLogger("foz").debug("now")
    logging.getLogger("uvicorn.access").error("GET /")
    assert stream.getvalue().count("\n") == 1


def test_setting_up_twice_writes_once() -> None:
    """The second set-up takes the place of the first."""
    first, second = io.StringIO(), io.StringIO()
    begin("info", Redactor(), stream=first)
    begin("info", Redactor(), stream=second)
    logging.getLogger("foz").info("once")

    assert (first.getvalue(), second.getvalue().count("\n")) == ("", 1)


def test_an_uncaught_error_is_logged_without_secrets() -> None:
    """What nobody caught, in the main thread or another, goes through the redactor too."""
    stream = io.StringIO()
    begin("info", Redactor(["open sesame"]), stream=stream)

    def fail() -> None:
        raise ValueError("open sesame")

    error = raised(ValueError("open sesame"))
    sys.excepthook(type(error), error, error.__traceback__)
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    first, second = map(json.loads, stream.getvalue().splitlines())

    assert first["level"] == second["level"] == "critical"
    assert first["trace"].endswith("ValueError: ***")
    assert second["trace"].endswith("ValueError: ***")


def test_a_lone_surrogate_is_written_as_an_escape() -> None:
    """Text that UTF-8 cannot say does not lose the record."""
    stream = io.StringIO()
    begin("info", Redactor(), stream=stream)
    logging.getLogger("foz").info("file %s", "a\udcff")

    assert json.loads(stream.getvalue())["message"] == r"file a\udcff"


def test_a_long_message_is_cut() -> None:
    """A megabyte in one message is shortened, and says so."""
    stream = io.StringIO()
    begin("info", Redactor(), stream=stream)
    logging.getLogger("foz").info("x" * 1_000_000)

    assert len(stream.getvalue()) < 70_000
    assert "(1000000 characters)" in stream.getvalue()


def test_a_log_that_is_closed_raises_nothing() -> None:
    """Where nobody can be told, the program goes on."""
    stream = io.StringIO()
    begin("info", Redactor(), stream=stream)
    stream.close()

    logging.getLogger("foz").info("into the void")
