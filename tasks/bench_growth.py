"""Time and memory of ingest, validate, predict and evaluate as the corpus grows: 1, 4 and 16 times, and 50 M tokens.

Run     python -m tasks.bench_growth [--sizes 1 4 16] [--tokens 50000000] [--model models/ner]
Reads   data/prepared, params.yaml
Writes  reports/bench/growth.json, reports/bench/growth.md; a workspace in .ner/growth, which goes at the end

Every stage is a process of its own, as DVC runs it, in a workspace whose local/grown holds the corpus as text
(tasks/growth_corpus.py). Of each the wall time, and the memory that the system says it had at most. The model that
predicts is by default a tiny one with random weights, a stand-in: what counts is how the work around it grows.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ner.errors import NerError
from tasks.bench_report import REPORT, busy, machine, machine_line, table
from tasks.cli import run_stage
from tasks.growth_corpus import Words, read_words, write_drawn, write_repeated
from tasks.io import PARAMS, read_json, read_params, write_json, write_text
from tasks.prepared import read_manifest
from tasks.yaml_file import YamlFile

ROOT = Path(__file__).resolve().parent.parent
PREPARED, SCRATCH = Path("data/prepared"), Path(".ner/growth")
STAGES = ("ingest", "validate", "predict", "evaluate")
WITHOUT_MODEL = STAGES[:2]  # that the largest corpus goes through
SOURCE = "local/grown"
MB = 1024 * 1024
UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
PACKAGES = ("great_expectations", "numpy", "pandas", "pyarrow", "torch", "transformers")


def bench(sizes: Sequence[int], tokens: int, model: Path | None, prepared: Path, scratch: Path) -> dict[str, Any]:
    """Run it and return what growth.json holds. tokens: of the largest corpus, 0 for none.

    Raises NerError for a stage that fails, with what it said last.
    """
    about, words = machine(PACKAGES), read_words(prepared)
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch) as name:
        workspace = Path(name).resolve()
        _settle(workspace)
        if model:
            (workspace / "models").mkdir()
            (workspace / "models/ner").symlink_to(model.resolve())
        else:
            stand_in(workspace / "models/ner", words, read_manifest(prepared)["labels"])
        grown = []
        for size in sizes:
            write_repeated(words, workspace / SOURCE, size)
            grown.append({"size": size, **_measured(workspace, STAGES, f"{size} x")})
        report = {"machine": about, "model": str(model) if model else None, "sizes": _with_ratios(grown)}
        if tokens:
            write_drawn(words, workspace / SOURCE, tokens)
            report["largest"] = _measured(workspace, WITHOUT_MODEL, f"{tokens:,} tokens")
    return report


def _settle(workspace: Path) -> None:
    """What the stages read beside the corpus: params.yaml with this source, a catalogue, a run without MLflow."""
    params = YamlFile(PARAMS)
    params.tree["data"]["source"] = SOURCE
    write_text(workspace / PARAMS, params.after())
    write_text(workspace / "catalog.yaml", "corpora: {}\nencoders: {}\n")
    write_json(workspace / "reports/training.json", {"mlflow_run_id": None})


def stand_in(folder: Path, words: Mapping[str, Words], labels: Sequence[str]) -> None:
    """A BERT of one layer with random weights, and a tokenizer that was trained on the words."""
    import torch
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertForTokenClassification, BertTokenizerFast

    from ner.prediction import MAX_LENGTH

    folder.mkdir(parents=True)
    tokenizer = BertWordPieceTokenizer(lowercase=True)
    tokenizer.train_from_iterator(words["train"].tokens.tolist(), vocab_size=2000, show_progress=False)
    tokenizer.save_model(str(folder))
    fast = BertTokenizerFast.from_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(fast), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
        id2label=dict(enumerate(labels)), label2id={label: index for index, label in enumerate(labels)},
        **{MAX_LENGTH: read_params().encoding.max_length},
    )  # fmt: skip
    BertForTokenClassification(config).save_pretrained(folder)
    fast.save_pretrained(folder)


def _measured(workspace: Path, stages: Sequence[str], what: str) -> dict[str, Any]:
    """A corpus in the report: how large it is, and what each stage took."""
    took = {}
    for stage in stages:
        print(f"{what}: {stage}", flush=True)
        took[stage] = run(stage, workspace)
    manifest = read_manifest(workspace / PREPARED)
    counts = {
        name: sum(about[name] for about in manifest["splits"].values()) for name in ("documents", "sentences", "tokens")
    }
    text = sum(path.stat().st_size for path in (workspace / SOURCE).iterdir())
    return {**counts, "text_mb": round(text / MB, 1), "stages": took}


# A process inherits the peak of the one that starts it, which here holds torch and a corpus: so a small one starts it.
LAUNCHER = """
import json, os, subprocess, sys, time
begin = time.perf_counter()
process = subprocess.Popen(sys.argv[2:], stdout=sys.stderr)
_, status, usage = os.wait4(process.pid, 0)
found = {"status": os.waitstatus_to_exitcode(status), "seconds": time.perf_counter() - begin, "peak": usage.ru_maxrss}
with open(sys.argv[1], "w") as stream:
    json.dump(found, stream)
"""


def run(stage: str, workspace: Path) -> dict[str, float]:
    """Seconds, and the memory in MB that its process had at most. Raises NerError where it fails."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "NER_HOME": str(workspace)}
    return measured([sys.executable, "-m", f"tasks.{stage}"], workspace, env, f"stage {stage}")


def measured(command: Sequence[str], folder: Path, env: Mapping[str, str], what: str) -> dict[str, float]:
    """Seconds and peak MB of a command that runs in `folder`. Raises NerError where it fails, with its last words."""
    log, result = folder / "measured.log", folder / "measured.json"
    result.unlink(missing_ok=True)
    with log.open("wb") as stream:
        launcher = [sys.executable, "-S", "-c", LAUNCHER, str(result), *command]
        subprocess.run(launcher, cwd=folder, env=dict(env), stdout=stream, stderr=subprocess.STDOUT)
    found = read_json(result)
    if found["status"]:
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["nothing"]
        raise NerError(f"{what} failed on the grown corpus (status {found['status']}): {said[-1]}")
    return {"seconds": round(found["seconds"], 2), "peak_mb": round(found["peak"] * UNIT / MB)}


def _with_ratios(grown: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """With the seconds a token of each stage as a ratio to those of the first corpus: 1 is linear, less is better."""
    for one in grown:
        for stage, took in one["stages"].items():
            first = grown[0]["stages"][stage]["seconds"] / grown[0]["tokens"]
            took["seconds_a_token_to_first"] = round(took["seconds"] / one["tokens"] / first, 3)
    return grown


def markdown(report: Mapping[str, Any]) -> str:
    """growth.md: a table of the sizes, one of the largest corpus, and what stands behind them."""
    rows = [
        [
            f"{one['size']} x",
            f"{one['tokens']:,}",
            stage,
            f"{took['seconds']:.1f}",
            f"{took['seconds_a_token_to_first']:.2f}",
            f"{took['peak_mb']:,}",
        ]
        for stage in STAGES
        for one in report["sizes"]
        for took in [one["stages"][stage]]
    ]
    text = "# Growth\n\n" + table(
        ["corpus", "tokens", "stage", "seconds", "seconds a token, to the first", "peak MB"], rows
    )
    if largest := report.get("largest"):
        rows = [
            [stage, f"{took['seconds']:.0f}", f"{largest['tokens'] / took['seconds']:,.0f}", f"{took['peak_mb']:,}"]
            for stage, took in largest["stages"].items()
        ]
        text += (
            f"\n\n{largest['tokens']:,} tokens in {largest['sentences']:,} sentences of {largest['documents']:,} "
            f"documents, {largest['text_mb']:,.0f} MB of text:\n\n"
        )
        text += table(["stage", "seconds", "tokens a second", "peak MB"], rows)
    model = f"`{report['model']}`" if report["model"] else "a tiny stand-in with random weights"
    return (
        f"{text}\n\nEach stage is a process of its own, its start and its imports included; a ratio of 1 is linear "
        "growth, less comes from the start. Peak is what the system says the process had at most. The model of "
        f"`predict` is {model}. Copies have some words changed, so that no document or sentence stands twice; the "
        f"largest corpus has the tags of the corpus and words drawn by tag.\n\n{machine_line(report['machine'])}"
        f"{busy(report['machine'], 'seconds are too high')}"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tasks.bench_growth", description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 4, 16], help="times the corpus (default: 1 4 16)")
    parser.add_argument("--tokens", type=int, default=50_000_000, help="of the largest corpus; 0: none (default: 50 M)")
    parser.add_argument("--model", type=Path, help="a folder as `train` writes it, in place of the stand-in")
    asked = parser.parse_args(arguments)
    if min(asked.sizes) < 1 or asked.tokens < 0:
        raise NerError("--sizes are whole numbers from 1 on, --tokens is 0 or more.")
    report = bench(asked.sizes, asked.tokens, asked.model, PREPARED, SCRATCH)
    write_json(REPORT / "growth.json", report)
    write_text(REPORT / "growth.md", markdown(report))
    print("\n" + markdown(report), flush=True)


if __name__ == "__main__":
    run_stage("bench", main)
