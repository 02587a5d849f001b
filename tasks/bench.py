"""Words per second as a ratio to transformers.pipeline: same model, same text, same run, entities compared.

Run     python -m tasks.bench [--sentences 1200] [--rounds 4] [--contender "core fp32" ...]       (make bench)
Reads   models/release, models/export where stage `export` wrote it, data/prepared
Writes  reports/bench/prediction.json, reports/bench/prediction.md; exported formats that are lacking in .ner/bench

Sentences are drawn from validation and read alone, so that all do the same work; everything from tokens to entities is
timed. The contenders take turns with each part of the sentences, and a ratio is the median over these rounds. Where
others use the machine, threads that wait for each other make the pipeline look far too slow: run it on an idle one, or
with OMP_NUM_THREADS=1. The bound is arithmetic: two operations a weight and subword, at the rate of a large matrix
product, which is measured in the same rounds.
"""

import argparse
import random
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ner.errors import NerError
from tasks.bench_report import REPORT, busy, machine, machine_line, percent, ratio, spread, table, turns
from tasks.cli import run_stage
from tasks.io import write_json, write_text
from tasks.package import RELEASE
from tasks.prepared import read_manifest, read_split, to_tags

PREPARED, CACHE = Path("data/prepared"), Path(".ner/bench")
SEED = 42  # of the draw of sentences
WARM_UP = 4  # sentences
EFFECT = "ratios to the pipeline are too high"  # its short steps on several threads suffer most where others compute


def bench(root: Path, names: Sequence[str], sentences: int, rounds: int) -> dict[str, Any]:
    """Run it and return what prediction.json holds. Raises NerError where there are fewer sentences than rounds."""
    from ner.encoding import encode_windows
    from ner.prediction import Tagger
    from tasks.contenders import gold, load, parameters
    from tasks.matmul import measures

    about, (tokens, tags) = machine(), draw(root / PREPARED, sentences)
    if not 0 < rounds <= len(tokens):
        raise NerError(f"{len(tokens)} sentences cannot be split into {rounds} rounds: use another --rounds.")
    tagger = Tagger.load(root / RELEASE)
    windows = encode_windows(tagger.tokenizer, tokens, None, tagger.max_length)
    contenders = load(root, names, root / CACHE)
    for run in contenders.values():
        run(tokens[:WARM_UP])
    timed = {name: Timed() for name in names}
    rates: dict[str, list[float]] = {}
    kinds = measures()
    for number in range(rounds):
        part = tokens[number::rounds]
        for kind, measure in kinds.items():
            rates.setdefault(kind, []).append(measure())
        for name in turns(names, number):
            begin, begin_cpu = time.perf_counter(), time.process_time()
            found = contenders[name](part)
            timed[name].add(time.perf_counter() - begin, time.process_time() - begin_cpu, found, part)
            print(f"round {number + 1} of {rounds}: {name}, {timed[name].words_per_second[-1]:.0f} words/s", flush=True)
    expected = [gold(tokens[i], tags[i]) for number in range(rounds) for i in range(number, len(tokens), rounds)]
    facts = {
        "sentences": len(tokens),
        "words": sum(map(len, tokens)),
        "subwords": sum(len(window.input_ids) for window in windows),
        "rounds": rounds,
        "weights_multiplied": parameters(tagger.model),
    }
    rate = {kind: max(values) for kind, values in rates.items()}
    return {
        "machine": about,
        **facts,
        "gflops": rate,
        "contenders": {name: result(name, timed, expected, facts, rate) for name in names},
    }


class Timed:
    """What one contender has found, and how fast, over the rounds."""

    def __init__(self) -> None:
        self.words_per_second: list[float] = []
        self.words_per_cpu_second: list[float] = []
        self.found: list[set[Any]] = []

    def add(self, seconds: float, cpu: float, found: list[set[Any]], part: Sequence[Sequence[str]]) -> None:
        words = sum(map(len, part))
        self.words_per_second.append(words / seconds)
        self.words_per_cpu_second.append(words / cpu)
        self.found += found


def draw(prepared: Path, sentences: int) -> tuple[list[list[str]], list[list[str]]]:
    """Tokens and tags of so many sentences of validation, or of all where it has fewer."""
    split, labels = read_split(prepared, "validation"), read_manifest(prepared)["labels"]
    chosen = random.Random(SEED).sample(range(len(split.tokens)), min(sentences, len(split.tokens)))
    tags = to_tags(split.tag_ids, labels)
    return [split.tokens[index] for index in chosen], [tags[index] for index in chosen]


def result(
    name: str, timed: Mapping[str, Timed], expected: list[set[Any]], facts: Mapping[str, Any], rate: Mapping[str, float]
) -> dict[str, Any]:
    """A contender in prediction.json. Ratios are to transformers.pipeline, shares of entities to it and to our fp32."""
    from tasks.contenders import CORE, PIPELINE, PIPELINE_32, RATES

    own = timed[name]
    speed = statistics.median(own.words_per_second)
    bound = rate[RATES.get(name, "fp32")] * 1e9 / (2 * facts["weights_multiplied"]) * facts["words"] / facts["subwords"]
    entry: dict[str, Any] = {"words_per_second": speed, "f1": f1(own.found, expected), "share_of_bound": speed / bound}
    for key, measure, other in (
        ("ratio", "words_per_second", PIPELINE),
        ("ratio_of_cpu", "words_per_cpu_second", PIPELINE),
        ("ratio_to_batches", "words_per_second", PIPELINE_32),
    ):
        if other in timed:
            entry[key] = spread(getattr(own, measure), getattr(timed[other], measure))
    for key, other in (("same_as_pipeline", PIPELINE), ("same_as_core", CORE)):
        if other in timed:
            entry[key] = agreement(own.found, timed[other].found)
    return entry


def f1(found: Sequence[set[Any]], expected: Sequence[set[Any]]) -> float:
    """Micro F1 of entities, exact place and type."""
    correct = sum(len(one & other) for one, other in zip(found, expected, strict=True))
    total = sum(map(len, found)) + sum(map(len, expected))
    return 2 * correct / total if total else 0.0


def agreement(found: Sequence[set[Any]], other: Sequence[set[Any]]) -> float:
    """Of the entities that either has found, the share that both have, place and type; 1 where neither has any."""
    either = sum(len(one | two) for one, two in zip(found, other, strict=True))
    return sum(len(one & two) for one, two in zip(found, other, strict=True)) / either if either else 1.0


def markdown(report: Mapping[str, Any]) -> str:
    """prediction.md: the table, and what stands behind it."""
    about, rates = report["machine"], ", ".join(f"{value:.0f} in {kind}" for kind, value in report["gflops"].items())
    columns = ["", "words/s", "x pipeline", "the same in CPU time", "x pipeline, batch 32", "of the bound", "F1"]
    columns += ["entities as pipeline", "as core fp32"]
    rows = []
    for name, entry in report["contenders"].items():
        ratios = [ratio(entry.get(key)) for key in ("ratio", "ratio_of_cpu", "ratio_to_batches")]
        shares = [percent(entry.get(key)) for key in ("same_as_pipeline", "same_as_core")]
        speed, score = f"{entry['words_per_second']:.0f}", f"{entry['f1']:.4f}"
        rows.append([name, speed, *ratios, percent(entry["share_of_bound"], 0), score, *shares])
    return (
        f"# Speed of prediction\n\n{table(columns, rows)}\n\n"
        f"{report['sentences']} sentences of validation, each alone: {report['words']:,} words, {report['subwords']:,} "
        f"subwords. {report['rounds']} rounds in which the contenders take turns; ratios are medians over the rounds, "
        "with the lowest and the highest. From tokens to entities, decoding included. Bound: 2 x "
        f"{report['weights_multiplied'] / 1e6:.1f} M operations a subword at the measured rate of a matrix product "
        f"(GFLOP/s: {rates}).\n\n"
        f"{machine_line(about)}{busy(about, EFFECT)}"
    )


def main() -> None:
    from tasks.contenders import NAMES

    parser = argparse.ArgumentParser(prog="python -m tasks.bench", description="How fast prediction is, and how right.")
    parser.add_argument("--sentences", type=int, default=1200, help="of validation (default: 1200)")
    parser.add_argument("--rounds", type=int, default=4, help="in which the contenders take turns (default: 4)")
    parser.add_argument("--contender", action="append", choices=NAMES, help="only these; may be given several times")
    arguments = parser.parse_args()
    report = bench(Path(), arguments.contender or list(NAMES), arguments.sentences, arguments.rounds)
    write_json(REPORT / "prediction.json", report)
    write_text(REPORT / "prediction.md", markdown(report))
    print("\n" + markdown(report), flush=True)


if __name__ == "__main__":
    run_stage("bench", main)
