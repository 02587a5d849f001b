"""Words per second as a ratio to transformers.pipeline: same model, same text, same run, entities compared.

Run     ner bench-prediction [--sentences 1200] [--rounds 4] [--contender "core fp32" ...]       (make bench)
Reads   models/release, data/prepared
Writes  reports/bench/prediction.json, reports/bench/prediction.md

Sentences are drawn from validation and read alone, so that all do the same work; everything from tokens to entities is
timed. The contenders take turns with each part of the sentences, and a ratio is the median over these rounds. Where
others use the machine, threads that wait for each other make the pipeline look far too slow: run it on an idle one, or
with OMP_NUM_THREADS=1.
"""

import random
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ner.bench.report import busy, check_names, machine, machine_line, percent, publish, ratio, spread, turns
from ner.common.tables import markdown_table
from ner.data.prepared import read_manifest, read_split, to_tags
from ner.errors import NerError
from ner.registry.release import RELEASE

PREPARED = Path("data/prepared")
SEED = 42  # of the draw of sentences
WARM_UP = 4  # sentences
EFFECT = "ratios to the pipeline are too high"  # its short steps on several threads suffer most where others compute


def bench(root: Path, names: Sequence[str], sentences: int, rounds: int) -> dict[str, Any]:
    """Run it and return what prediction.json holds. Raises NerError where there are fewer sentences than rounds."""
    from ner.bench.contenders import gold, load
    from ner.encoding.windows import encode_windows
    from ner.inference.tagger import Tagger

    about, (tokens, tags) = machine(), draw(root / PREPARED, sentences)
    if not 0 < rounds <= len(tokens):
        raise NerError(f"{len(tokens)} sentences cannot be split into {rounds} rounds: use another --rounds.")
    tagger = Tagger.load(root / RELEASE)
    windows = encode_windows(tagger.tokenizer, tokens, None, tagger.max_length)
    contenders = load(root, names)
    for run in contenders.values():
        run(tokens[:WARM_UP])
    timed = {name: Timed() for name in names}
    for number in range(rounds):
        part = tokens[number::rounds]
        for name in turns(names, number):
            begin, begin_cpu = time.perf_counter(), time.process_time()
            predicted = contenders[name](part)
            timed[name].add(time.perf_counter() - begin, time.process_time() - begin_cpu, predicted, part)
            print(f"round {number + 1} of {rounds}: {name}, {timed[name].words_per_second[-1]:.0f} words/s", flush=True)
    expected = [gold(tokens[i], tags[i]) for number in range(rounds) for i in range(number, len(tokens), rounds)]
    facts = {
        "sentences": len(tokens),
        "words": sum(map(len, tokens)),
        "subwords": sum(len(window.input_ids) for window in windows),
        "rounds": rounds,
    }
    return {
        "machine": about,
        **facts,
        "contenders": {name: result(name, timed, expected) for name in names},
    }


class Timed:
    """The predictions of one contender, and how fast they were, over the rounds."""

    def __init__(self) -> None:
        self.words_per_second: list[float] = []
        self.words_per_cpu_second: list[float] = []
        self.predicted: list[set[Any]] = []

    def add(self, seconds: float, cpu: float, predicted: list[set[Any]], part: Sequence[Sequence[str]]) -> None:
        words = sum(map(len, part))
        self.words_per_second.append(words / seconds)
        self.words_per_cpu_second.append(words / cpu)
        self.predicted += predicted


def draw(prepared: Path, sentences: int) -> tuple[list[list[str]], list[list[str]]]:
    """Return tokens and tags of so many sentences of validation, or of all where it has fewer."""
    split, labels = read_split(prepared, "validation"), read_manifest(prepared)["labels"]
    chosen = random.Random(SEED).sample(range(len(split.tokens)), min(sentences, len(split.tokens)))
    tags = to_tags(split.tag_ids, labels)
    return [split.tokens[index] for index in chosen], [tags[index] for index in chosen]


def result(name: str, timed: Mapping[str, Timed], expected: list[set[Any]]) -> dict[str, Any]:
    """Return an entry of prediction.json: ratios to transformers.pipeline, shares of its entities and of our fp32."""
    from ner.bench.contenders import CORE, PIPELINE, PIPELINE_32

    own = timed[name]
    entry: dict[str, Any] = {"words_per_second": statistics.median(own.words_per_second)}
    entry["f1"] = f1(own.predicted, expected)
    for key, measure, other in (
        ("ratio", "words_per_second", PIPELINE),
        ("ratio_of_cpu", "words_per_cpu_second", PIPELINE),
        ("ratio_to_batches", "words_per_second", PIPELINE_32),
    ):
        if other in timed:
            entry[key] = spread(getattr(own, measure), getattr(timed[other], measure))
    for key, other in (("same_as_pipeline", PIPELINE), ("same_as_core", CORE)):
        if other in timed:
            entry[key] = agreement(own.predicted, timed[other].predicted)
    return entry


def f1(predicted: Sequence[set[Any]], expected: Sequence[set[Any]]) -> float:
    """Return micro F1 of entities, exact place and type."""
    correct = sum(len(ours & theirs) for ours, theirs in zip(predicted, expected, strict=True))
    total = sum(map(len, predicted)) + sum(map(len, expected))
    return 2 * correct / total if total else 0.0


def agreement(predicted: Sequence[set[Any]], other: Sequence[set[Any]]) -> float:
    """Return the share of all entities that both have, place and type; 1 where neither has any."""
    either = sum(len(ours | theirs) for ours, theirs in zip(predicted, other, strict=True))
    return sum(len(ours & theirs) for ours, theirs in zip(predicted, other, strict=True)) / either if either else 1.0


def markdown(report: Mapping[str, Any]) -> str:
    """Return prediction.md: the table, and how it was measured."""
    about = report["machine"]
    columns = ["", "words/s", "x pipeline", "the same in CPU time", "x pipeline, batch 32", "F1"]
    columns += ["entities as pipeline", "as core fp32"]
    rows = []
    for name, entry in report["contenders"].items():
        ratios = [ratio(entry.get(key)) for key in ("ratio", "ratio_of_cpu", "ratio_to_batches")]
        shares = [percent(entry.get(key)) for key in ("same_as_pipeline", "same_as_core")]
        speed, score = f"{entry['words_per_second']:.0f}", f"{entry['f1']:.4f}"
        rows.append([name, speed, *ratios, score, *shares])
    return (
        f"# Speed of prediction\n\n{markdown_table(columns, rows)}\n\n"
        f"{report['sentences']} sentences of validation, each alone: {report['words']:,} words, {report['subwords']:,} "
        f"subwords. {report['rounds']} rounds in which the contenders take turns; ratios are medians over the rounds, "
        "with the lowest and the highest. From tokens to entities, decoding included.\n\n"
        f"{machine_line(about)}{busy(about, EFFECT)}"
    )


def main(
    sentences: Annotated[int, typer.Option(help="So many of validation.")] = 1200,
    rounds: Annotated[int, typer.Option(help="In which the contenders take turns.")] = 4,
    contender: Annotated[list[str] | None, typer.Option(help="Only this one; may be given again.")] = None,
) -> None:
    """Measure prediction, and write and print the table. Raises ParamsError."""
    from ner.bench.contenders import NAMES

    check_names("contender", contender or (), NAMES)
    report = bench(Path(), contender or list(NAMES), sentences, rounds)
    publish("prediction", report, markdown(report))
