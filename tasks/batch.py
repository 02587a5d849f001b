"""Batch prediction: the entities of every row of a file or a folder, with the version of the model in every row.

Run     python -m tasks.batch --input texts.jsonl --output entities.parquet
        python -m tasks.batch --input s3://bucket/texts --output entities --model ner/3 --cluster local:4
Reads   JSONL, CSV, parquet, text files or a folder of these; the MLflow registry, or a folder with a model
Writes  OUTPUT (*.parquet, *.jsonl, or a folder), OUTPUT.summary.json, OUTPUT.rejected.jsonl where rows were bad

While it runs, what is done lies in OUTPUT.parts: a run that was killed goes on from there with the same command.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ner.errors import NerError, RegistryError
from tasks.batch_chunks import Chunk, Settings, chunks
from tasks.batch_cluster import engine
from tasks.batch_input import Input, find_input
from tasks.batch_model import Model, choose, code_digest, fetch, other_code
from tasks.batch_output import check_output
from tasks.batch_work import Work, begin, beside, go_on, only_run, stopped_run
from tasks.cli import run_stage
from tasks.io import PARAMS, read_json, read_params
from tasks.monitor_store import Store
from tasks.provenance import flow_run_id

FRESH = "begin again with --fresh"


@dataclass(frozen=True)
class Request:
    """What a run is asked for."""

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
        found = find_input(request.input)
        check_apart(found, request.output)
        work, model = start(request, found, say)
        model = fetch(model, work.folder / "model")
        if warning := other_code(model):
            say(f"note: {warning}")
        others = f" ({found.others:,} of other kinds are left alone)" if found.others else ""
        say(f"files: {len(found.sources):,}{others}, {found.size / 1e6:,.2f} MB; model: {model}")
        began = time.monotonic()
        store, name = request.store, f"{model.name}/{model.version}"
        asked = (request.cluster, model, request.settings.min_score, store is not None)
        with engine(*asked) as find, Progress(found.size) as progress:
            for chunk, entities, observed in find(to_do(chunks(found, request.settings), work, progress)):
                if store:
                    work.write_observed(chunk, store.lines(name, observed or [], [row.text for row in chunk.rows]))
                work.write_part(chunk, entities)
                progress.add(chunk)
                check_rejected(work, progress, request.max_rejected)
        seconds, rows = max(time.monotonic() - began, 1e-3), progress.rows
        rate = {"seconds": round(seconds, 1), "rows_this_time": rows}
        rate |= {"rows_per_s": round(rows / seconds, 1), "chars_per_s": round(progress.chars / seconds)}
        told = {"files": len(found.sources), "bytes": found.size, **rate, "flow_run_id": flow_run_id()}
        if store:
            store.add_batch(work.manifest["run"], work.observed())
        return work.finish(progress.before + rows, told)


def start(request: Request, found: Input, say: Callable[[str], None]) -> tuple[Work, Model]:
    """The run that was stopped on this output, else a new one; and its model.

    Raises NerError where the stopped one had another input, model or settings.
    """
    files = [[source.name, source.size, source.stamp] for source in found.sources]
    stopped = None if request.fresh else stopped_run(request.output)
    model = same_version(request.model, stopped, say) if stopped else choose(request.model)
    record = {"reference": request.model, "name": model.name, "version": model.version, "content": model.content}
    settings, code = asdict(request.settings), code_digest()
    if stopped is None:
        return begin(request.output, files, record, settings, code), model
    if differences := differ(stopped.manifest, {"files": files, "model": record, "settings": settings, "code": code}):
        raise NerError(
            f"{stopped.folder} is of a run that was stopped and had {'; '.join(differences)}: ask for the same to go "
            f"on with it, or {FRESH}."
        )
    say(f"going on with the run that was begun {stopped.manifest['begun']}")
    return go_on(stopped), model


def same_version(reference: str, stopped: Work, say: Callable[[str], None]) -> Model:
    """The version that a stopped run began with, where it is asked for by the same alias; what the alias means now."""
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
    """What another run had, in words; empty where it may be gone on with."""
    found = []
    keys = ("name", "version", "content")
    if [before["model"][key] for key in keys] != [now["model"][key] for key in keys]:
        found.append("the model {name} version {version}".format(**before["model"]))
        if found[0] == "the model {name} version {version}".format(**now["model"]):
            found[0] += " with other content"
    if before["code"] != now["code"]:
        found.append("other code in ner/")
    for key, value in now["settings"].items():
        if before["settings"].get(key) != value:
            found.append(f"{key} {before['settings'].get(key)!r}, not {value!r}")
    if before["files"] != now["files"]:
        old, new = ({file[0]: file for file in files} for files in (before["files"], now["files"]))
        names = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
        found.append(f"another input ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})")
    return found


def to_do(every: Iterator[Chunk], work: Work, progress: "Progress") -> Iterator[Chunk]:
    """The chunks that have no part yet."""
    for chunk in every:
        if work.has_part(chunk):
            progress.skip(chunk)
        else:
            yield chunk


class Progress:
    """A bar on stderr: share of the input, rows, rows a second, time left."""

    def __init__(self, size: int) -> None:
        self.rows = self.before = self.rejected = self.chars = 0
        seldom = 0.5 if sys.stderr.isatty() else 10
        shape = "{percentage:3.0f}% of the input{postfix}, {remaining} left"
        self.bar = tqdm(total=max(size, 1), bar_format=shape, mininterval=seldom, smoothing=0)
        self.began = time.monotonic()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: Any) -> None:
        self.bar.close()

    def add(self, chunk: Chunk) -> None:
        """A chunk is done."""
        self.rows += len(chunk.rows) + len(chunk.rejected)
        self.rejected += len(chunk.rejected)
        self.chars += sum(len(row.text) for row in chunk.rows)
        self._tell()
        self.bar.update(chunk.size)

    def skip(self, chunk: Chunk) -> None:
        """A chunk was done before: it counts in the share, not in the speed."""
        self.before += len(chunk.rows) + len(chunk.rejected)
        self.rejected += len(chunk.rejected)
        self.bar.initial += chunk.size
        self._tell()
        self.bar.update(chunk.size)

    def _tell(self) -> None:
        rate = self.rows / max(time.monotonic() - self.began, 1e-9)
        text = f"{self.before + self.rows:,} rows, {self.rejected:,} rejected, {rate:,.1f} rows/s"
        self.bar.set_postfix_str(text, refresh=False)


def check_rejected(work: Work, progress: Progress, limit: int | None) -> None:
    """Raises NerError where more rows were rejected than allowed."""
    if limit is not None and progress.rejected > limit:
        work.write_rejected()
        raise NerError(
            f"{progress.rejected:,} rejected, more than --max-rejected {limit:,}: see "
            f"{beside(work.output, '.rejected.jsonl')}; the same command with a higher limit goes on from here."
        )


def check_apart(found: Input, output: Path) -> None:
    """Raises NerError where the output would be, or lie in, the input."""
    if found.is_local and output.resolve().is_relative_to(Path(found.root).resolve()):
        raise NerError(f"the output {output} lies in the input, so it would be read as well: name one outside.")


def clear_finished(output: Path) -> None:
    """Remove the parts of a run whose output was whole when it was killed."""
    stopped, summary = stopped_run(output), beside(output, ".summary.json")
    if stopped and output.exists() and summary.exists() and read_json(summary)["run"] == stopped.manifest["run"]:
        stopped.discard()


def sentence(summary: dict[str, Any]) -> str:
    """How a run ended."""
    types = ", ".join(f"{count:,} {name}" for name, count in summary["entities"].items()) or "no entity"
    rejected = f"{summary['rejected']:,} rejected" if summary["rejected"] else "none rejected"
    return (
        f"{summary['rows']:,} rows in, {summary['done']:,} done, {rejected}; {types}; "
        f"{summary['rows_per_s']:,} rows a second; {summary['output']} is whole"
    )


def parse(arguments: list[str] | None = None) -> Request:
    parser = argparse.ArgumentParser(prog="python -m tasks.batch", description="Find the entities of many texts.")
    add = parser.add_argument
    add("--input", required=True, help="a file or a folder, local or an fsspec address")
    add("--output", required=True, help="*.parquet, *.jsonl, or a name without an ending for a folder")
    add("--model", help="ner@champion (default), ner/3, or a folder with a model")
    add("--cluster", help="local:4 for four processes, or the address of a Dask scheduler (default: this process)")
    add("--text-column", default="text", help="where a row has its text; without it, its tokens are in `tokens`")
    add("--min-score", type=float, default=0.0, help="leave out entities under it")
    add("--max-chars", type=int, default=1_000_000, help="a longer text is rejected")
    add("--max-rejected", type=int, help="more rejected rows than that end the run (default: no limit)")
    add("--chunk-rows", type=int, default=256, help="rows that are done, and lost by a kill, together")
    add("--no-text", action="store_true", help="leave the text out of the output")
    add("--no-extra", action="store_true", help="leave the other columns of the input out")
    add("--overwrite", action="store_true", help="replace an output that is there")
    add("--fresh", action="store_true", help="throw away what a stopped run has done")
    given = parser.parse_args(arguments)
    settings = Settings(
        given.text_column, given.min_score, given.max_chars, not given.no_text, not given.no_extra, given.chunk_rows
    )
    model = given.model or f"{read_params().registry.model}@champion"
    cluster, limit = given.cluster or None, given.max_rejected
    if not given.input or not Path(given.output).name:
        raise NerError("name what to read and what to write, as in make predict INPUT=texts.jsonl OUTPUT=out.parquet.")
    if "://" in given.output:
        raise NerError(f"{given.output} is no path on this machine: write to one, and copy the output from there.")
    output = Path(given.output)
    return Request(given.input, output, model, settings, cluster, limit, given.overwrite, given.fresh)


def main() -> None:
    store = Store.of(read_params().monitor, "batch") if PARAMS.exists() else None
    say(sentence(predict(replace(parse(), store=store))))


if __name__ == "__main__":
    run_stage("batch", main)
