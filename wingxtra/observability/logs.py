"""Log lines: JSON in production, readable text elsewhere; never with local variables.

`structlog.get_logger()` and `logging.getLogger()` have the same format. Context variables of
structlog are in every line: in a request `request_id` and its path parameters (`order_id`, ...); in
a worker `message_id`, `actor` and the `request_id` of the request that sent the message. So one id
finds all lines of a request, in all processes.
"""

import logging
import sys
from typing import Any

import structlog

from wingxtra.secrecy import scrub_line


def config(*, level: str, json_lines: bool) -> dict[str, Any]:
    """Configure structlog and return Django's LOGGING; lines go to standard error."""
    # No line says which code wrote it, and finding that out takes a third of writing a line.
    logging._srcfile = None  # as the logging HOWTO says
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    # Plain tracebacks: rich ones would print local variables, which hold phone numbers and keys.
    render: Any = (
        structlog.processors.JSONRenderer(default=str)
        if json_lines
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": shared,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.format_exc_info,
                    scrub_line,
                    render,
                ],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": level},
        # Without this, Django's default configuration prints these lines a second time.
        "loggers": {
            "django": {"handlers": [], "propagate": True},
            "django.server": {"handlers": [], "propagate": True},
            # Three lines for each request that uses the database.
            "psycopg.pool": {"level": "WARNING"},
            # The line `request` covers 4xx responses.
            "django.request": {"level": "ERROR"},
        },
    }
