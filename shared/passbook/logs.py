"""How log events are written: one JSON object a line, or something readable on a terminal.

Which events there are is listed in `telemetry`. At INFO and above nothing says who owns an account, what
for or how much: no text that came from outside is written but ids.
"""

import logging
import sys
import traceback
from collections.abc import Iterator
from typing import Final, Literal
from uuid import UUID

import orjson
import structlog
from structlog.typing import ExcInfo

_LONGEST_ID: Final = 200
_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure_logging(
    *,
    service: str,
    log_format: Literal["auto", "json", "console"] = "auto",
    level: Literal["debug", "info", "warning", "error"] = "info",
) -> None:
    """Send structured logs to stderr, as JSON unless it is a terminal or `console` is asked for.

    The standard library's loggers (aiokafka, asyncio) come out the same way, from WARNING up.
    """
    readable = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(
            fmt="%H:%M:%S.%f" if readable else "iso", utc=not readable
        ),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info
        if level == "debug"
        else structlog.processors.ExceptionRenderer(where_only),
    ]
    renderers: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=22)]
        if readable
        else [structlog.processors.JSONRenderer(serializer=_dumps)]
    )
    structlog.configure(
        processors=[*shared, *renderers],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    if not readable:  # in a terminal somebody knows which one this is, or `up` says it in front
        structlog.contextvars.bind_contextvars(service=service)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    # While a broker is away it says so hundreds of times a second, and whatever matters comes back
    # to us as an exception.
    logging.getLogger("aiokafka").setLevel(
        logging.WARNING if level == "debug" else logging.CRITICAL
    )


def ids(
    command_id: UUID | str | bytes | None, correlation_id: str | bytes | None
) -> dict[str, str]:
    """Return the keys by which the lines about one command are found; those that are not known are
    missing. Bytes are whatever somebody sent: they are cut, and what is no text is replaced.
    """
    given = {"command_id": command_id, "correlation_id": correlation_id}
    return {
        name: value[:_LONGEST_ID].decode("utf-8", "replace")
        if isinstance(value, bytes)
        else str(value)
        for name, value in given.items()
        if value
    }


def where_only(exc_info: ExcInfo) -> str:
    """Return a traceback with types and places only: messages of exceptions quote what they are
    about, a row, an argument, a name.
    """
    return "\n".join(_places(exc_info[1]))


def _places(error: BaseException) -> Iterator[str]:
    yield f"{type(error).__module__}.{type(error).__qualname__}"
    for frame in traceback.extract_tb(error.__traceback__):
        yield f"  {frame.filename}:{frame.lineno} {frame.name}"
    below = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    for other in (*below, before):
        if other is not None:
            yield from _places(other)


def _dumps(value: object, **_options: object) -> str:
    return orjson.dumps(value, default=str).decode()
