"""Prefect's log without what a reader cannot use: an end that the flow has told in one sentence needs no trace."""

import logging

import httpx
from prefect.exceptions import FailedRun

from ner.errors import NerError

LOGGERS = ("prefect.task_runs", "prefect.flow_runs")


def shorten_logs() -> None:
    """Let the loggers of runs leave out traces of failed states, and say why a stage did not run."""
    for name in LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(one, _Sentences) for one in logger.filters):
            logger.addFilter(_Sentences())


class _Sentences(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if isinstance(error, FailedRun | httpx.HTTPError):
            return False  # another line has the sentence: of the stage that failed, or of the server that is gone
        if error is None or isinstance(error, NerError):
            record.exc_info = None
        message = record.getMessage()
        if message.startswith("Finished in state NotReady"):
            record.msg, record.args, record.levelno, record.levelname = (
                "Not run: a stage before it failed",
                (),
                20,
                "INFO",
            )
        return not message.startswith("Task run failed with state: ")
