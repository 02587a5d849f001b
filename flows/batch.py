"""Flow `ner-predict`: the entities of every row of a file or a folder, with the version of the model in every row.

Run     prefect deployment run ner-predict/batch --param input=texts.jsonl --param output=entities.parquet
Reads   the input and the model, through `ner batch`
Writes  the output and what `ner batch` writes beside it; the progress and a summary as artifacts in Prefect
"""

import re
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import flow
from prefect.artifacts import create_markdown_artifact, create_progress_artifact, update_progress_artifact
from prefect.states import State

from flows.runtime.names import named
from flows.runtime.run_command import run_command
from ner.batch.job import beside
from ner.common.escaping import in_markdown
from ner.common.files import read_json
from ner.common.tables import markdown_table

PROGRESS = re.compile(r"\s*(\d+)% of the input")


@flow(name="ner-predict", flow_run_name=named("{input}"))
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

    Args:
        input: JSONL, CSV, parquet, text, or a folder of these, local or any fsspec address.
        output: A file *.parquet or *.jsonl, or a folder.
        model: ner@champion, ner/3, or a folder.
        cluster: local:4, or the address of a Dask scheduler; none is one process.
        text_column: The column that has the text.
        min_score: Entities under this score are left out.
        max_chars: A longer text is rejected.
        max_rejected: More bad rows than that fail the run.
        chunk_rows: So many rows are read at once, and done again after a stop.
        keep_text: The text is in the output.
        keep_extra: Other columns of the input are in the output.
        overwrite: An output that is there already is replaced.
        fresh: What a stopped run has done is thrown away.
    """
    options = {
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
    arguments += [f"--{name}" for name, is_set in switches.items() if is_set]
    bar: UUID = create_progress_artifact(0.0, key="batch-progress", description="Share of the input that is done")

    def show(line: str) -> bool:
        share = PROGRESS.match(line)
        if share:
            update_progress_artifact(bar, progress=float(share[1]))
        return share is not None

    result = run_command("batch", *arguments, "--", input, output, is_progress=show)
    if not result.status:
        summary = read_json(beside(Path(output), ".summary.json"))
        create_markdown_artifact(markdown(summary, input), key="batch", description=result.last)
    return result.state(result.last)


def markdown(summary: dict[str, Any], address: str) -> str:
    """Return the summary of a run as a page."""
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
    entities = [(in_markdown(name), f"{count:,}") for name, count in summary["entities"].items()]
    tables = (markdown_table(["", ""], facts.items()), markdown_table(["entities", ""], entities))
    return "\n\n".join(["# Batch prediction", *tables])
