"""Time and memory of ingest, validate, predict and evaluate as the corpus grows: 1, 4 and 16 times.

Run     ner bench-growth [--sizes 4 --sizes 16] [--model models/ner]
Reads   data/prepared, params.yaml
Writes  reports/bench/growth.json, reports/bench/growth.md; a workspace in .ner/growth, which goes at the end

Every stage is a process of its own, as DVC runs it, in a workspace whose local/grown holds the corpus as text, each
copy with words of its own, since validation expects a document once. Of each the wall time, and the memory that the
system says it had at most. The model that predicts is by default a tiny one with random weights: what counts is how the
work around it grows.
"""

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ner.bench.report import REPORT, busy, machine, machine_line
from ner.bench.stage_costs import environment, run
from ner.common.files import PARAMS, read_params, replacing_file, write_json, write_text
from ner.common.tables import markdown_table
from ner.common.yaml_edit import YamlFile
from ner.data.conll import DOCSTART
from ner.data.prepared import Split, read_manifest, read_split
from ner.errors import NerError

ROOT = Path(__file__).resolve().parents[2]
PREPARED, SCRATCH = Path("data/prepared"), Path(".ner/growth")
STAGES = ("ingest", "validate", "predict", "evaluate")
SOURCE = "local/grown"
FILES = {"train": "train.txt", "validation": "valid.txt", "test": "test.txt"}
CHANGED = 4  # in a copy one token in so many of a sentence is another word, the first one too
MB = 1024 * 1024
PACKAGES = ("great_expectations", "numpy", "pandas", "pyarrow", "torch", "transformers")


def bench(sizes: Sequence[int], model: Path | None, prepared: Path, scratch: Path) -> dict[str, Any]:
    """Run it and return what growth.json holds. Raises NerError for a stage that fails, with what it said last."""
    about = machine(PACKAGES)
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch) as name:
        workspace = Path(name).resolve()
        _settle(workspace)
        if model:
            (workspace / "models").mkdir()
            (workspace / "models/ner").symlink_to(model.resolve())
        else:
            stand_in(workspace / "models/ner", prepared)
        grown = []
        for size in sizes:
            write_repeated(prepared, workspace / SOURCE, size)
            grown.append({"size": size, **_measured(workspace, f"{size} x")})
    return {"machine": about, "model": str(model) if model else None, "sizes": _with_ratios(grown)}


def _settle(workspace: Path) -> None:
    """Write what the stages read beside the corpus: params.yaml with this source, a catalogue, a run without MLflow."""
    params = YamlFile(PARAMS)
    params.tree["data"]["source"] = SOURCE
    write_text(workspace / PARAMS, params.after())
    write_text(workspace / "catalog.yaml", "corpora: {}\nencoders: {}\n")
    write_json(workspace / "reports/training.json", {})


def write_repeated(prepared: Path, folder: Path, times: int) -> None:
    """Write the corpus so many times in CoNLL columns; the first is the corpus itself."""
    labels = read_manifest(prepared)["labels"]
    folder.mkdir(parents=True, exist_ok=True)
    for name, file in FILES.items():
        split = read_split(prepared, name)
        with replacing_file(folder / file) as temporary, temporary.open("w", encoding="utf-8") as stream:
            for number in range(times):
                stream.writelines(copy(split, labels, number))


def copy(split: Split, labels: Sequence[str], number: int) -> Iterator[str]:
    """Yield the lines of copy `number`; from 1 on its words have a suffix, of letters: b for 1, bc for 12."""
    suffix = "".join(chr(ord("a") + int(digit)) for digit in str(number)) if number else ""
    document = None
    for document_id, tokens, tag_ids in zip(split.document_ids, split.tokens, split.tag_ids, strict=True):
        if document_id != document:
            document = document_id
            yield f"{DOCSTART} O\n\n"
        for place, (token, tag) in enumerate(zip(tokens, tag_ids, strict=True)):
            yield f"{token}{'' if place % CHANGED else suffix} {labels[tag]}\n"
        yield "\n"


def stand_in(folder: Path, prepared: Path) -> None:
    """Write a one-layer BERT with random weights, and a tokenizer trained on the words."""
    import torch
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertForTokenClassification, BertTokenizer

    from ner.inference.tagger import MAX_LENGTH

    folder.mkdir(parents=True)
    tokenizer = BertWordPieceTokenizer(lowercase=True)
    labels = read_manifest(prepared)["labels"]
    tokenizer.train_from_iterator(read_split(prepared, "train").tokens, vocab_size=2000, show_progress=False)
    tokenizer.save_model(str(folder))
    fast = BertTokenizer.from_pretrained(folder)
    torch.manual_seed(0)
    longest: dict[str, Any] = {MAX_LENGTH: read_params().encoding.max_length}
    config = BertConfig(
        vocab_size=len(fast), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
        id2label=dict(enumerate(labels)), label2id={label: index for index, label in enumerate(labels)},
        **longest,
    )  # fmt: skip
    BertForTokenClassification(config).save_pretrained(folder)
    fast.save_pretrained(folder)


def _measured(workspace: Path, what: str) -> dict[str, Any]:
    """Return a corpus in the report: how large it is, and what each stage took."""
    took = {}
    for stage in STAGES:
        print(f"{what}: {stage}", flush=True)
        took[stage] = measured(stage, workspace)
    manifest = read_manifest(workspace / PREPARED)
    counts = {
        name: sum(about[name] for about in manifest["splits"].values()) for name in ("documents", "sentences", "tokens")
    }
    text = sum(path.stat().st_size for path in (workspace / SOURCE).iterdir())
    return {**counts, "text_mb": round(text / MB, 1), "stages": took}


def measured(stage: str, workspace: Path) -> dict[str, float]:
    """Return the seconds of a stage, and the memory in MB that it had at most. Raises NerError where it fails."""
    command = [sys.executable, "-m", f"tasks.{stage}"]
    ran = run(command, workspace, environment(PYTHONPATH=str(ROOT), NER_HOME=str(workspace)))
    if ran.status:
        last = (ran.lines or ["nothing"])[-1]
        raise NerError(f"stage {stage} failed on the grown corpus (status {ran.status}): {last}")
    return {"seconds": round(ran.seconds, 2), "peak_mb": ran.peak_memory_mb}


def _with_ratios(grown: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the sizes with each stage's seconds a token as a ratio to the first corpus: 1 is linear."""
    for entry in grown:
        for stage, took in entry["stages"].items():
            first = grown[0]["stages"][stage]["seconds"] / grown[0]["tokens"]
            took["seconds_a_token_to_first"] = round(took["seconds"] / entry["tokens"] / first, 3)
    return grown


def markdown(report: Mapping[str, Any]) -> str:
    """Return growth.md: a table of the sizes, and how it was measured."""
    rows = [
        [
            f"{entry['size']} x",
            f"{entry['tokens']:,}",
            stage,
            f"{took['seconds']:.1f}",
            f"{took['seconds_a_token_to_first']:.2f}",
            f"{took['peak_mb']:,}",
        ]
        for stage in STAGES
        for entry in report["sizes"]
        for took in [entry["stages"][stage]]
    ]
    text = "# Growth\n\n" + markdown_table(
        ["corpus", "tokens", "stage", "seconds", "seconds a token, to the first", "peak MB"], rows
    )
    model = f"`{report['model']}`" if report["model"] else "a tiny stand-in with random weights"
    return (
        f"{text}\n\nEach stage is a process of its own, its start and its imports included; a ratio of 1 is linear "
        "growth, less comes from the start. Peak is what the system says the process had at most. The model of "
        f"`predict` is {model}. Copies have some words changed, so that no document or sentence stands twice.\n\n"
        f"{machine_line(report['machine'])}"
        f"{busy(report['machine'], 'seconds are too high')}"
    )


def main(
    sizes: Annotated[list[int] | None, typer.Option(min=1, help="Times the corpus; default: 1, 4 and 16.")] = None,
    model: Annotated[Path | None, typer.Option(help="A folder as `train` writes it, not the stand-in.")] = None,
) -> None:
    """Measure the stages, and write and print the table."""
    report = bench(sizes or (1, 4, 16), model, PREPARED, SCRATCH)
    write_json(REPORT / "growth.json", report)
    write_text(REPORT / "growth.md", markdown(report))
    print("\n" + markdown(report), flush=True)
