"""Prefect's log without the traces of ends that another line tells in one sentence.

shorten_logs()                      # in a flow
"""

import logging

import httpx
from prefect.exceptions import FailedRun

from ner.errors import NerError


def shorten_logs() -> None:
    """Let the loggers of runs leave out traces of failed states; a stage that did not run is no error."""
    for name in ("prefect.task_runs", "prefect.flow_runs"):
        logger = logging.getLogger(name)
        if not any(isinstance(item, _Sentences) for item in logger.filters):
            logger.addFilter(_Sentences())


class _Sentences(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if isinstance(error, FailedRun | httpx.HTTPError):
            return False  # another line has the sentence: of the stage that failed, or of the server that is gone
        if error is None or isinstance(error, NerError):
            record.exc_info = None
        message = record.getMessage()
        if message.startswith("Finished in state Cancelled"):  # another line has the error
            record.levelno, record.levelname = logging.INFO, "INFO"
        return not message.startswith("Task run failed with state: ")
