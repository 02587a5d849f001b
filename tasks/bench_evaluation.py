"""How fast a split is predicted for evaluation: as stage `predict` does it, against one sentence at a time.

Run     python -m tasks.bench_evaluation [--words 12000] [--rounds 3]
Reads   models/ner, data/prepared, params.yaml [encoding, prediction]
Writes  reports/bench/evaluation.json, reports/bench/evaluation.md

The contenders take turns with documents of validation, the same words each, from tokens to tags; a ratio is the median
over the rounds. The loop is what evaluation scripts often do: tokenise a sentence, run the model, take the best tag of
each first subword.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ner.errors import NerError
from tasks.bench_report import REPORT, busy, machine, machine_line, ratio, spread, table, turns
from tasks.bench_sample import part_by_words
from tasks.cli import run_stage
from tasks.io import PARAMS, read_params, write_json, write_text
from tasks.prepared import Split, read_manifest, read_split, to_tags

PREPARED, MODEL = Path("data/prepared"), Path("models/ner")
SEED = 42  # of the draw of documents
WARM_UP = 4  # sentences
LOOP, DOCUMENTS, ALONE = "a sentence at a time", "stage predict, in documents", "stage predict, sentences alone"

Tags = list[list[str]]
Contender = Callable[[Sequence[list[str]], Sequence[int]], Tags]


def bench(root: Path, words: int, rounds: int) -> dict[str, Any]:
    """Run it and return what evaluation.json holds. Raises NerError where there are fewer documents than rounds."""
    from tasks.bench import f1
    from tasks.contenders import gold

    about, split = machine(), draw(root, words)
    labels = read_manifest(root / PREPARED)["labels"]
    parts = [part_of_round(split, number, rounds) for number in range(rounds)]
    contenders = load(root)
    for run in contenders.values():
        run(split.tokens[:WARM_UP], split.document_ids[:WARM_UP])
    speeds: dict[str, list[float]] = {name: [] for name in contenders}
    found: dict[str, list[set[Any]]] = {name: [] for name in contenders}
    expected: list[set[Any]] = []
    for number, part in enumerate(parts):
        expected += map(gold, part.tokens, to_tags(part.tag_ids, labels))
        for name in turns(list(contenders), number):
            begin = time.perf_counter()
            tags = contenders[name](part.tokens, part.document_ids)
            speeds[name].append(sum(map(len, part.tokens)) / (time.perf_counter() - begin))
            found[name] += map(gold, part.tokens, tags)
            print(f"round {number + 1} of {rounds}: {name}, {speeds[name][-1]:.0f} words/s", flush=True)
    return {
        "machine": about,
        "documents": len(set(split.document_ids)),
        "sentences": len(split.tokens),
        "words": sum(map(len, split.tokens)),
        "rounds": rounds,
        "contenders": {
            name: {
                "words_per_second": statistics.median(speeds[name]),
                "ratio": spread(speeds[name], speeds[LOOP]),
                "f1": f1(found[name], expected),
            }
            for name in contenders
        },
    }


def draw(root: Path, words: int) -> Split:
    """Documents of validation with about so many words, or all."""
    with TemporaryDirectory(prefix="ner-bench-") as scratch:
        params = read_params(root / PARAMS)
        folder = part_by_words(root / PREPARED, Path(scratch) / "prepared", {"validation": words}, params, SEED)
        return read_split(folder, "validation")


def part_of_round(split: Split, number: int, rounds: int) -> Split:
    """Whole documents of the split, every so many; where no two sentences share one, whole sentences."""
    from ner.entities import unit_numbers

    units, name = unit_numbers(split.document_ids)
    if not 0 < rounds <= len(set(units)):
        raise NerError(f"{len(set(units))} {name}s cannot be split into {rounds} rounds: use another --rounds.")
    chosen = [index for index, unit in enumerate(units) if unit % rounds == number]
    return Split(*([column[index] for index in chosen] for column in split))


def load(root: Path) -> dict[str, Contender]:
    """The loop and stage `predict`, all of models/ner."""
    from tasks.predict import load_tagger

    tagger = load_tagger(root / MODEL, read_params(root / PARAMS))

    def predict(tokens: Sequence[list[str]], document_ids: Sequence[int] | None) -> Tags:
        return to_tags([rows.argmax(-1) for rows in tagger.logits(tokens, document_ids)], tagger.labels)

    return {LOOP: loop(root / MODEL), DOCUMENTS: predict, ALONE: lambda tokens, _: predict(tokens, None)}


def loop(folder: Path) -> Contender:
    """One sentence after the other, in fp32, as `from_pretrained` loads model and tokenizer."""
    import torch
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = AutoModelForTokenClassification.from_pretrained(folder, local_files_only=True).to(device).eval()
    tokenizer, names = AutoTokenizer.from_pretrained(folder, local_files_only=True), model.config.id2label

    @torch.no_grad()
    def run(sentences: Sequence[list[str]], _: Sequence[int]) -> Tags:
        found = []
        for tokens in sentences:
            inputs = tokenizer(tokens, is_split_into_words=True, truncation=True, return_tensors="pt").to(device)
            best, tags = model(**inputs).logits[0].argmax(-1).tolist(), ["O"] * len(tokens)
            for index, word in reversed(list(enumerate(inputs.word_ids()))):  # the first subword has the last word
                if word is not None:
                    tags[word] = names[best[index]]
            found.append(tags)
        return found

    return run


def markdown(report: Mapping[str, Any]) -> str:
    """evaluation.md: the table, and what stands behind it."""
    rows = [
        [name, f"{entry['words_per_second']:.0f}", ratio(entry["ratio"]), f"{entry['f1']:.4f}"]
        for name, entry in report["contenders"].items()
    ]
    return (
        f"# Speed of evaluation\n\n{table(['', 'words/s', f'x {LOOP}', 'F1'], rows)}\n\n"
        f"{report['documents']} documents of validation, {report['sentences']:,} sentences, {report['words']:,} words, "
        f"from tokens to tags. {report['rounds']} rounds in which the contenders take turns; ratios are medians over "
        "them, with the lowest and the highest.\n\n"
        f"{machine_line(report['machine'])}{busy(report['machine'], 'ratios to the loop are too high')}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tasks.bench_evaluation", description="How fast evaluation reads.")
    parser.add_argument("--words", type=int, default=12000, help="of validation, about so many (default: 12000)")
    parser.add_argument("--rounds", type=int, default=3, help="in which the contenders take turns (default: 3)")
    arguments = parser.parse_args()
    report = bench(Path(), arguments.words, arguments.rounds)
    write_json(REPORT / "evaluation.json", report)
    write_text(REPORT / "evaluation.md", markdown(report))
    print(markdown(report), flush=True)


if __name__ == "__main__":
    run_stage("bench_evaluation", main)
