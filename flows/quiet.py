"""Prefect's log without what a reader cannot use: errors that a user caused are one sentence, never a trace."""

import logging

from ner.errors import NerError


def shorten_logs() -> None:
    """Drop the engine's own line on a failed state: the next one says it again, with the sentence."""
    for name in ("prefect.task_runs", "prefect.flow_runs"):
        logger = logging.getLogger(name)
        if not any(isinstance(f, _Sentences) for f in logger.filters):
            logger.addFilter(_Sentences())


class _Sentences(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if error is None or isinstance(error, NerError):
            record.exc_info = None
        return not record.getMessage().startswith("Task run failed with state: ")
