"""Batch prediction: the entities of every row of a file or a folder, with the version of the model in every row.

Run     ner batch texts.jsonl entities.parquet
        ner batch s3://bucket/texts entities --model ner/3 --cluster local:4
Reads   JSONL, CSV, parquet, text files or a folder of these; the MLflow registry, or a folder with a model
Writes  OUTPUT (*.parquet, *.jsonl, or a folder), OUTPUT.summary.json, OUTPUT.rejected.jsonl where rows were bad

While it runs, what is done lies in OUTPUT.parts: a run that was killed goes on from there with the same command.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from ner.batch.chunks import Chunk, Settings, chunks
from ner.batch.cluster import engine
from ner.batch.input import Input, find_input
from ner.batch.job import Work, begin, beside, go_on, only_run, stopped_run
from ner.batch.model import Model, choose, code_digest, fetch, other_code
from ner.batch.output import check_output
from ner.common.files import PARAMS, read_json, read_params
from ner.common.progress import bar
from ner.common.provenance import flow_run_id
from ner.errors import NerError, RegistryError
from ner.monitoring.store import Store

FRESH = "begin again with --fresh"


@dataclass(frozen=True)
class Request:
    """The options of a batch run."""

    input: str
    output: Path
    model: str
    settings: Settings = Settings()
    cluster: str | None = None
    max_rejected: int | None = None  # more rejected rows end the run
    overwrite: bool = False
    fresh: bool = False  # throw away what a stopped run has done
    store: Store | None = None  # what monitoring needs is kept there


def say(line: str) -> None:
    print(line, flush=True)


def predict(request: Request, say: Callable[[str], None] = say) -> dict[str, Any]:
    """Find the entities of every row and write the output; returns its summary. Raises NerError."""
    with only_run(request.output):
        clear_finished(request.output)
        check_output(request.output, request.overwrite)
        source_files = find_input(request.input)
        check_apart(source_files, request.output)
        work, model = start(request, source_files, say)
        model = fetch(model, work.folder / "model")
        if warning := other_code(model):
            say(f"note: {warning}")
        others = f" ({source_files.others:,} of other kinds are left alone)" if source_files.others else ""
        say(f"files: {len(source_files.sources):,}{others}, {source_files.size / 1e6:,.2f} MB; model: {model}")
        began = time.monotonic()
        store, name = request.store, f"{model.name}/{model.version}"
        asked = (request.cluster, model, request.settings.min_score, store is not None)
        with engine(*asked) as find, Progress(source_files.size) as progress:
            for chunk, entities, observed in find(to_do(chunks(source_files, request.settings), work, progress)):
                if store:
                    work.write_observed(chunk, store.lines(name, observed or [], [row.text for row in chunk.rows]))
                work.write_part(chunk, entities)
                progress.add(chunk)
                check_rejected(work, progress, request.max_rejected)
        seconds, rows = max(time.monotonic() - began, 1e-3), progress.rows
        rate = {"seconds": round(seconds, 1), "rows_this_time": rows}
        rate |= {"rows_per_s": round(rows / seconds, 1), "chars_per_s": round(progress.chars / seconds)}
        facts = {"files": len(source_files.sources), "bytes": source_files.size, **rate, "flow_run_id": flow_run_id()}
        if store:
            store.add_batch(work.manifest["run"], work.observed())
        return work.finish(progress.before + rows, facts)


def start(request: Request, source_files: Input, say: Callable[[str], None]) -> tuple[Work, Model]:
    """Return the run to continue on this output, else a new one, and its model.

    Raises NerError where the stopped one had another input, model or settings.
    """
    files = [[source.name, source.size, source.stamp] for source in source_files.sources]
    stopped = None if request.fresh else stopped_run(request.output)
    model = same_version(request.model, stopped, say) if stopped else choose(request.model)
    record = {"reference": request.model, "name": model.name, "version": model.version, "content": model.content}
    settings, code = asdict(request.settings), code_digest()
    if stopped is None:
        return begin(request.output, files, record, settings, code), model
    if differences := differ(stopped.manifest, {"files": files, "model": record, "settings": settings, "code": code}):
        raise NerError(
            f"{stopped.folder} is of a run that was stopped and had {'; '.join(differences)}: use the same "
            f"options to resume it, or {FRESH}."
        )
    say(f"resuming the run that was started {stopped.manifest['begun']}")
    return go_on(stopped), model


def same_version(reference: str, stopped: Work, say: Callable[[str], None]) -> Model:
    """Return the version that a stopped run began with if it is asked for by the same alias, else what it means now."""
    before = stopped.manifest["model"]
    if "@" not in reference or reference != before["reference"]:
        return choose(reference)
    try:
        now = choose(reference).version
    except RegistryError:
        now = "none"
    if now != before["version"]:
        say(f"{reference} is version {now} now; this run keeps version {before['version']}, which it began with")
    return choose(f"{before['name']}/{before['version']}")


def differ(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return what differs from another run, in words; empty where that run can be continued."""
    differences = []
    keys = ("name", "version", "content")
    if [before["model"][key] for key in keys] != [now["model"][key] for key in keys]:
        differences.append("the model {name} version {version}".format(**before["model"]))
        if differences[0] == "the model {name} version {version}".format(**now["model"]):
            differences[0] += " with other content"
    if before["code"] != now["code"]:
        differences.append("other code in ner/")
    for key, value in now["settings"].items():
        if before["settings"].get(key) != value:
            differences.append(f"{key} {before['settings'].get(key)!r}, not {value!r}")
    if before["files"] != now["files"]:
        old, new = ({file[0]: file for file in files} for files in (before["files"], now["files"]))
        names = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
        differences.append(f"another input ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})")
    return differences


def to_do(every: Iterator[Chunk], work: Work, progress: "Progress") -> Iterator[Chunk]:
    """Yield the chunks that have no part yet."""
    for chunk in every:
        if work.has_part(chunk):
            progress.add(chunk, is_new=False)
        else:
            yield chunk


class Progress:
    """A bar on stderr: share of the input, rows, rows a second, time left."""

    def __init__(self, size: int) -> None:
        self.rows = self.before = self.rejected = self.chars = 0
        shape = "{percentage:3.0f}% of the input{postfix}, {remaining} left"
        self.bar = bar(total=max(size, 1), patience_s=0, bar_format=shape, smoothing=0)
        self.began = time.monotonic()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: Any) -> None:
        self.bar.close()

    def add(self, chunk: Chunk, is_new: bool = True) -> None:
        """Count a finished chunk; one that was done before counts in the share, not in the speed."""
        rows = len(chunk.rows) + len(chunk.rejected)
        self.rejected += len(chunk.rejected)
        if is_new:
            self.rows += rows
            self.chars += sum(len(row.text) for row in chunk.rows)
        else:
            self.before += rows
            self.bar.initial += chunk.size
        rate = self.rows / max(time.monotonic() - self.began, 1e-9)
        text = f"{self.before + self.rows:,} rows, {self.rejected:,} rejected, {rate:,.1f} rows/s"
        self.bar.set_postfix_str(text, refresh=False)
        self.bar.update(chunk.size)


def check_rejected(work: Work, progress: Progress, limit: int | None) -> None:
    """Raise NerError where more rows were rejected than allowed."""
    if limit is not None and progress.rejected > limit:
        work.write_rejected()
        raise NerError(
            f"{progress.rejected:,} rejected, more than --max-rejected {limit:,}: see "
            f"{beside(work.output, '.rejected.jsonl')}; repeat the command with a higher limit to resume."
        )


def check_apart(source_files: Input, output: Path) -> None:
    """Raise NerError where the output would be, or lie in, the input."""
    if source_files.is_local and output.resolve().is_relative_to(Path(source_files.root).resolve()):
        raise NerError(f"the output {output} lies in the input, so it would be read as well: name one outside.")


def clear_finished(output: Path) -> None:
    """Remove the parts of a run whose output was whole when it was killed."""
    stopped, summary = stopped_run(output), beside(output, ".summary.json")
    if stopped and output.exists() and summary.exists() and read_json(summary)["run"] == stopped.manifest["run"]:
        stopped.discard()


def sentence(summary: dict[str, Any]) -> str:
    """Return the last line of a run, in words."""
    types = ", ".join(f"{count:,} {name}" for name, count in summary["entities"].items()) or "no entity"
    side = beside(Path(summary["output"]), ".rejected.jsonl")
    rejected = f"{summary['rejected']:,} rejected, with reasons in {side}" if summary["rejected"] else "none rejected"
    return (
        f"{summary['rows']:,} rows in, {summary['done']:,} done, {rejected}; {types}; "
        f"{summary['rows_per_s']:,} rows a second; {summary['output']} is whole"
    )


def main(
    input: Annotated[str, typer.Argument(help="A file or a folder, local or an fsspec address.")],
    output: Annotated[str, typer.Argument(help="*.parquet, *.jsonl, or a name without an ending for a folder.")],
    model: Annotated[str | None, typer.Option(help="ner@champion (default), ner/3, or a folder with a model.")] = None,
    cluster: Annotated[
        str | None, typer.Option(help="local:4 for four processes, or the address of a Dask scheduler.")
    ] = None,
    text_column: Annotated[str, typer.Option(help="The column of the text; rows without it have tokens.")] = "text",
    min_score: Annotated[float, typer.Option(help="Threshold: leave out entities with a lower score.")] = 0.0,
    max_chars: Annotated[int, typer.Option(help="Reject a text with more characters.")] = 1_000_000,
    max_rejected: Annotated[int | None, typer.Option(help="Fail when more rows than that are rejected.")] = None,
    chunk_rows: Annotated[int, typer.Option(help="Rows of a chunk, which a killed run repeats at most.")] = 256,
    no_text: Annotated[bool, typer.Option("--no-text", help="Leave the text out of the output.")] = False,
    no_extra: Annotated[bool, typer.Option("--no-extra", help="Leave other columns of the input out.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an output that is there.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Discard the progress of a stopped run.")] = False,
) -> None:
    """Find the entities of every row of the input and write them. Raises NerError."""
    if not input or not Path(output).name:
        raise NerError("name what to read and what to write, as in ner batch texts.jsonl entities.parquet.")
    if "://" in output:
        raise NerError(f"{output} is no path on this machine: write to one, and copy the output from there.")
    settings = Settings(text_column, min_score, max_chars, not no_text, not no_extra, chunk_rows)
    model = model or f"{read_params().registry.model}@champion"
    store = Store.of(read_params().monitor, "batch") if PARAMS.exists() else None
    request = Request(input, Path(output), model, settings, cluster or None, max_rejected, overwrite, fresh, store)
    say(sentence(predict(request)))
