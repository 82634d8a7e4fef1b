"""How the processes log: JSON for machines, or lines for a terminal; never a secret."""

import logging
import sys
from typing import TextIO, cast

import structlog
import structlog.typing


class StandardError:
    """Standard error as it is when something is said, not as it was at the start.

    Whoever replaces and closes it, as test runners do, so silences nobody.
    """

    def write(self, text: str) -> int:
        """Write a text."""
        return sys.stderr.write(text)

    def flush(self) -> None:
        """Write what is buffered."""
        sys.stderr.flush()


def configure(log_format: str, level: str) -> None:
    """Send every log line to standard error. `log_format`: json, console, or empty to choose."""
    console = log_format == "console" or (not log_format and sys.stderr.isatty())
    renderer = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if console
        else structlog.processors.JSONRenderer()
    )
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.PrintLoggerFactory(file=cast(TextIO, StandardError())),
    )
    formatter = structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processor=renderer)
    handler = logging.StreamHandler(StandardError())
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=max(logging.WARNING, getattr(logging, level)))
