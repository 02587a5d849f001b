"""Prefect's log as JSON lines with the run's ids, where NER_LOG_FORMAT=json asks for it.

use()                               # in a flow: this process' console from now on
environment(os.environ)             # for processes of Prefect's own: its setting that names flows/json_log.yml
JsonPrinter(output)                 # for make up: the lines of every process, theirs or wrapped
"""

import json
import logging
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from honcho.printer import Message, Printer
from prefect.logging.handlers import PrefectConsoleHandler, _SafeStreamHandler
from pythonjsonlogger.json import JsonFormatter

from tasks.json_lines import JsonStream, as_json, print_json, wants_json

CONFIG = Path(__file__).with_name("json_log.yml")
CONSOLES = (logging.StreamHandler, PrefectConsoleHandler, _SafeStreamHandler)
SETTING = "PREFECT_LOGGING_SETTINGS_PATH"
_MLFLOW_RUN = re.compile(r"MLflow run ([0-9a-f]{32})\b")


def environment(seen: Mapping[str, str]) -> dict[str, str]:
    """What makes Prefect's own processes (server, worker, a flow run before it is ours) log in JSON; else nothing."""
    return {SETTING: str(CONFIG)} if wants_json(seen) else {}


def use(deployment: str | None = None) -> None:
    """Log and print in JSON from here on, where that is asked for; again adds nothing but a deployment.

    Raises ParamsError for another NER_LOG_FORMAT.
    """
    if not wants_json(os.environ):
        return
    if not isinstance(sys.stdout, JsonStream):
        print_json()
    know(deployment_name=deployment)
    options = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["formatters"]["json"]
    formatter = JsonFormatter(options["fmt"], **{k: v for k, v in options.items() if k not in ("()", "fmt")})
    for name in (None, "uvicorn", "fastapi", "prefect._internal"):
        logger = logging.getLogger(name)
        for place, handler in enumerate(logger.handlers):
            if type(handler) in CONSOLES and ids not in handler.filters:
                plain = logging.StreamHandler(sys.__stderr__)  # Prefect's own draws with rich
                plain.setFormatter(formatter)
                plain.addFilter(ids)
                logger.handlers[place] = plain


def know(**found: str | None) -> None:
    """Add ids to every line of the run from now on; what is None stays unknown."""
    ids.known.update({name: value for name, value in found.items() if value})


class Ids(logging.Filter):
    """Adds what is known of the run to each of its lines: the deployment, and the MLflow run once a line names it."""

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[str, str] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if getattr(record, "deployment_name", "") is None:  # Prefect's word for a run that is no deployment's
            del record.deployment_name
        if getattr(record, "flow_run_id", None):
            if found := _MLFLOW_RUN.search(record.getMessage()):
                self.known["mlflow_run_id"] = found[1]
            for name, value in self.known.items():
                setattr(record, name, value)
        return True


ids = Ids()


class JsonPrinter(Printer):
    """honcho's printer, whose lines are JSON: those that are already get the name of their process."""

    def write(self, message: Message) -> None:
        text = message.data.decode("utf-8", "replace") if isinstance(message.data, bytes) else message.data
        for line in text.splitlines():
            if line.strip():
                print(self.line(line, message.name or "up"), file=self.output, flush=True)

    @staticmethod
    def line(line: str, process: str) -> str:
        try:
            about: Any = json.loads(line)
        except ValueError:
            about = None
        if isinstance(about, dict):
            return json.dumps({**about, "process": process}, ensure_ascii=False)
        return as_json(line, process=process)
