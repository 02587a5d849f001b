"""Flow `ner-predict`: the entities of every row of a file or a folder, with the version of the model in every row.

Run     prefect deployment run ner-predict/batch --param input=texts.jsonl --param output=entities.parquet
Reads   the input and the model, through `python -m tasks.batch`
Writes  the output and what `tasks.batch` writes beside it; the progress and a summary as artifacts in Prefect
"""

import os
import re
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact, create_progress_artifact, update_progress_artifact
from prefect.runtime import flow_run
from prefect.states import State

from flows.process import stream
from flows.quiet import shorten_logs
from flows.stages import stage_environment
from flows.told import Told
from tasks.batch_work import beside
from tasks.io import read_json

PROGRESS = re.compile(r"\s*(\d+)% of the input")


@flow(name="ner-predict")
def ner_predict(
    input: str,
    output: str,
    model: str = "ner@champion",
    cluster: str | None = None,
    text_column: str = "text",
    min_score: float = 0.0,
    max_chars: int = 1_000_000,
    max_rejected: int | None = None,
    chunk_rows: int = 256,
    keep_text: bool = True,
    keep_extra: bool = True,
    overwrite: bool = False,
    fresh: bool = False,
) -> State:
    """Find the entities of many texts. A run that was stopped goes on where it was, with the same parameters.

    input: JSONL, CSV, parquet, text, or a folder of these, local or any fsspec address. output: *.parquet, *.jsonl, or
    a folder. model: ner@champion, ner/3, or a folder. cluster: local:4, or the address of a Dask scheduler; none: one
    process. max_rejected: more bad rows than that fail the run. fresh: throw away what a stopped run has done.
    """
    options = {
        "input": input,
        "output": output,
        "model": model,
        "cluster": cluster,
        "text-column": text_column,
        "min-score": min_score,
        "max-chars": max_chars,
        "max-rejected": max_rejected,
        "chunk-rows": chunk_rows,
    }
    switches = {"no-text": not keep_text, "no-extra": not keep_extra, "overwrite": overwrite, "fresh": fresh}
    arguments = [f"--{name}={value}" for name, value in options.items() if value is not None]
    told = run(arguments + [f"--{name}" for name, is_set in switches.items() if is_set])
    if not told.status:
        summary = read_json(beside(Path(output), ".summary.json"))
        create_markdown_artifact(markdown(summary, input), key="batch", description=told.last)
    return told.state(told.last)


def run(arguments: list[str]) -> Told:
    """Run `python -m tasks.batch`, its lines in the log and its progress as an artifact."""
    shorten_logs()
    log = get_run_logger()
    bar: UUID = create_progress_artifact(0.0, key="batch-progress", description="Share of the input that is done")
    last = [""]

    def hear(line: str) -> None:
        if share := PROGRESS.match(line):
            update_progress_artifact(bar, progress=float(share[1]))
        else:
            last[0] = line
        log.info(line.strip())

    environment = stage_environment(str(flow_run.id), flow_run.ui_url if os.environ.get("PREFECT_API_URL") else None)
    status = stream([sys.executable, "-m", "tasks.batch", *arguments], Path.cwd(), environment, hear)
    return Told("batch", status, {}, last[0])


def markdown(summary: dict[str, Any], address: str) -> str:
    """The summary of a run as a page."""
    model = summary["model"]
    facts = {
        "input": f"`{address}`: {summary['files']:,} files, {summary['bytes'] / 1e6:,.2f} MB",
        "output": f"`{summary['output']}`",
        "model": f"{model['name']} version {model['version']}, content `{model['content'][:16]}`",
        "rows in": f"{summary['rows']:,}",
        "done": f"{summary['done']:,}",
        "rejected": f"{summary['rejected']:,}"
        + (f", in `{summary['output']}.rejected.jsonl`" if summary["rejected"] else ""),
        "speed": f"{summary['rows_per_s']:,} rows, {summary['chars_per_s']:,} characters a second",
        "continued": f"{summary['continued']} times",
    }
    lines = ["# Batch prediction", "", "| | |", "|---|---|", *(f"| {name} | {fact} |" for name, fact in facts.items())]
    lines += ["", "| entities | |", "|---|---|", *(f"| {name} | {n:,} |" for name, n in summary["entities"].items())]
    return "\n".join(lines)
