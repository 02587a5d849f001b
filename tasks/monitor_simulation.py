"""How often `make monitor` alarms, on real text and with the trained model: where nothing changed, and where it did.

Run     python -m tasks.monitor_simulation        (make drift-simulation; about ten minutes on two cores)
Reads   models/release, reports/predictions, reports/metrics.json, data/prepared/train.parquet, params.yaml [monitor];
        docstrings and manual of Python, licence texts of the installed packages
Writes  reports/drift.json, reports/drift.png, and the table between the marks in docs/drift.md

Validation is cut into two halves of documents, again and again: one is the reference, from which all that is allowed is
found, and windows are drawn from the other. A window has whole documents, each once: drawn with replacement it would
wander as far again as the half that it is drawn from does.
"""

import re
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from scipy import stats

from ner.drift import DriftSettings, compare
from ner.drift_observation import KEYS, Reading, Vocabulary
from ner.drift_sample import Sample
from ner.text import annotate, paragraphs, sentences
from tasks.cli import run_stage
from tasks.io import read_json, read_params, write_json, write_text
from tasks.monitor import settings
from tasks.monitor_noise import STRENGTHS, noisy, other_domains
from tasks.monitor_simulation_report import markdown, write_picture
from tasks.monitor_store import Store
from tasks.predictions import Predictions, read_predictions
from tasks.prepared import read_split
from tasks.reference import UNITS, columns, observed

PREPARED, RELEASE, REPORTS, PAGE = Path("data/prepared"), Path("models/release"), Path("reports"), Path("docs/drift.md")
SIZES = {"sentence": (100, 300, 1000), "document": (25, 50, 100)}  # texts of a window
SPLITS, QUIET_WINDOWS, LOUD_WINDOWS = 20, 15, 2  # halvings of validation; windows of each, of each kind and size
TEST_WINDOWS = 200
NOISY_DOCUMENTS = 12
REPEATS = 1.25  # a larger window of them would be the same few documents again and again, which is drift of its own
DOMAIN_TEXTS = {"sentence": 100, "document": 15}
DOMAIN_TOKENS = {"sentence": (5, 60), "document": (80, 400)}
SHARES = (0.1, 0.3, 1.0)  # of the texts of a window, that are of another domain
VALIDATION, LATER = "validation", "test, months later"
SEED = 42
MARKS = re.compile(r"(?<=<!-- drift -->\n).*?(?=<!-- /drift -->)", re.DOTALL)


@dataclass
class Tally:
    """The windows of one kind: how many, how many alarmed, in which halving, and for which values."""

    unit: str
    size: int
    kind: str
    strength: float
    alarms: list[bool] = field(default_factory=list)
    splits: list[int] = field(default_factory=list)
    why: Counter[str] = field(default_factory=Counter)

    def add(self, split: int, moved: Sequence[str]) -> None:
        self.alarms.append(bool(moved))
        self.splits.append(split)
        self.why.update(moved)

    def told(self) -> dict[str, Any]:
        """rate, and its 95 % interval: the wider of Wilson's and that of a bootstrap of the halvings."""
        windows, alarms = len(self.alarms), sum(self.alarms)
        interval = stats.binomtest(alarms, windows).proportion_ci(method="wilson")
        low, high = interval.low, interval.high
        by_split = [
            np.mean([a for a, s in zip(self.alarms, self.splits, strict=True) if s == one]) for one in set(self.splits)
        ]
        if len(set(by_split)) > 1:
            own = stats.bootstrap((by_split,), np.mean, method="percentile", rng=SEED).confidence_interval
            low, high = min(low, own.low), max(high, own.high)
        about = {
            "unit": self.unit,
            "texts": self.size,
            "kind": self.kind,
            "strength": self.strength,
            "windows": windows,
        }
        rounded = {"rate": round(alarms / windows, 4), "interval": [round(float(low), 4), round(float(high), 4)]}
        why = {name: round(count / windows, 4) for name, count in self.why.most_common()}
        return {**about, "alarms": alarms, **rounded, "moved": why}


@dataclass
class World:
    """All that was read once: samples of validation and of test by unit, noisy ones, and other domains."""

    validation: dict[str, Sample]
    test: dict[str, Sample]
    noise: dict[tuple[str, float], Sample]
    domains: dict[str, dict[str, Sample]]
    cost: dict[str, float] = field(default_factory=dict)  # seconds of the processor: to read texts, to observe them


def read_world(prepared: Path, release: Path, reports: Path, seed: int) -> World:
    """Predict what has not been predicted. Raises NerError where an output of the pipeline is missing."""
    from ner.prediction import Tagger

    tagger = Tagger.load(release, device="auto")
    vocabulary = Vocabulary.of(token for tokens in read_split(prepared, "train").tokens for token in tokens)
    temperature = read_json(reports / "metrics.json").get("temperature") or 1.0
    types = sorted({label[2:] for label in tagger.labels if label != "O"})
    splits = {name: read_predictions(reports / "predictions", name) for name in ("validation", "test")}
    samples = {
        name: {
            unit: Sample.of(columns(observed(own, unit, temperature, tagger.tokenizer, vocabulary)), types)
            for unit in UNITS
        }
        for name, own in splits.items()
    }

    def read(inputs: list[Any], groups: Sequence[int], what: str) -> Sample:
        print(f"reading {len(inputs):,} texts: {what}", flush=True)
        reading, began = Reading(tagger, vocabulary), time.process_time()
        found = annotate(reading, inputs)
        read_at = time.process_time()
        rows = reading.observations(found)
        store.add("ner/1", rows, inputs)
        cost["reading_s"] += read_at - began
        cost["observing_s"] += time.process_time() - read_at
        return Sample.of({"group": groups, **{key: [row[key] for row in rows] for key in KEYS}}, types)

    cost = {"reading_s": 0.0, "observing_s": 0.0}
    domains: dict[str, dict[str, Sample]] = {unit: {} for unit in UNITS}
    with tempfile.TemporaryDirectory() as scratch:
        store = Store(Path(scratch), 1 << 26, "serve")
        noise = dict(read_noise(splits["validation"], read, np.random.default_rng(seed)))
        for unit in UNITS:
            for name, texts in other_domains().items():
                chosen = choose(texts, unit)
                domains[unit][name] = read(chosen, range(len(chosen)), f"{name}, by {unit}")
        store.close()
    return World(samples["validation"], samples["test"], noise, domains, cost)


def read_noise(predictions: Predictions, read: Any, random: np.random.Generator) -> Iterator[tuple[Any, Sample]]:
    """Sentences of some documents as they are, and with each noise; groups are the numbers of tasks.reference."""
    names = list(dict.fromkeys(predictions.document_ids))
    numbers = {name: number for number, name in enumerate(names)}
    chosen = set(names[:: max(1, len(names) // NOISY_DOCUMENTS)][:NOISY_DOCUMENTS])
    rows = [index for index, document in enumerate(predictions.document_ids) if document in chosen]
    groups = [numbers[predictions.document_ids[index]] for index in rows]
    for kind, strengths in {"no noise": (0.0,), **STRENGTHS}.items():
        for strength in strengths:
            tokens = [predictions.tokens[index] for index in rows]
            if strength:
                tokens = [noisy(one, kind, strength, random) for one in tokens]
            texts = [" ".join(one) for one in tokens]
            yield (kind, strength), read(texts, groups, f"{kind} {strength:.0%}")


def choose(texts: Sequence[str], unit: str) -> list[str]:
    """Evenly among all sentences, or paragraphs taken together, of a fitting length."""
    low, high = DOMAIN_TOKENS[unit]
    found = []
    for text in texts:
        for tokens in paragraphs(text[:20_000]):
            cuts = sentences(tokens) if unit == "sentence" else [tokens]
            found += [text[cut[0].start : cut[-1].end] for cut in cuts if low <= len(cut) <= high]
    step = max(1, len(found) // DOMAIN_TEXTS[unit])
    return found[::step][: DOMAIN_TEXTS[unit]]


def simulate(world: World, params: DriftSettings, seed: int) -> list[dict[str, Any]]:
    """The alarms among the windows of each kind and size."""
    found: list[Tally] = []
    for unit, sizes in SIZES.items():
        tallies: dict[tuple[str, int, str, float], Tally] = {}
        for split in range(SPLITS):
            print(f"windows of {unit}s, halving {split + 1} of {SPLITS}", flush=True)
            reference, rest = halves(world.validation[unit], random_of(seed, unit, split))
            for (kind, strength), windows in windows_of(world, unit, rest).items():
                random = random_of(seed, unit, split, kind, strength)
                for size in sizes:
                    if (kind, strength) in world.noise and size > REPEATS * len(world.noise[kind, strength]) / 2:
                        continue
                    key = (unit, size, kind, strength)
                    for _ in range(QUIET_WINDOWS if kind == VALIDATION else LOUD_WINDOWS):
                        tallies.setdefault(key, Tally(*key)).add(split, moved(reference, windows(size, random), params))
        documents, random = Documents(world.test[unit]), random_of(seed, unit, LATER)
        for size in sizes:
            tally = tallies[unit, size, LATER, 0.0] = Tally(unit, size, LATER, 0.0)
            for _ in range(TEST_WINDOWS):
                tally.add(0, moved(world.validation[unit], draw(documents, size, random), params))
        found += tallies.values()
    return [tally.told() for tally in found]


def windows_of(world: World, unit: str, rest: Sample) -> dict[tuple[str, float], Any]:
    """For each kind and strength what draws a window of a size; rest: the half of validation that is no reference."""
    documents, kept = Documents(rest), set(rest.groups)
    found: dict[tuple[str, float], Any] = {(VALIDATION, 0.0): partial(draw, documents)}
    for key, sample in world.noise.items() if unit == "sentence" else ():
        found[key] = partial(draw, Documents(sample, kept))
    for name, sample in world.domains[unit].items():
        others = Documents(sample)
        found |= {(name, share): partial(mixed, documents, others, share) for share in SHARES}
    return found


def moved(reference: Sample, window: Sample, params: DriftSettings) -> list[str]:
    return [move.name for move in compare(reference, window, params) if move.moved]


def random_of(seed: int, *about: Any) -> np.random.Generator:
    """Of its own for each kind of window, so that more of one kind change no other."""
    return np.random.default_rng([seed, crc32(repr(about).encode())])


class Documents:
    """The texts of each document of a sample; only: of these groups."""

    def __init__(self, sample: Sample, only: set[int] | None = None) -> None:
        self.sample = sample
        groups = [group for group in np.unique(sample.groups) if only is None or group in only]
        self.texts = [np.flatnonzero(sample.groups == group) for group in groups]


def draw(documents: Documents, size: int, random: np.random.Generator) -> Sample:
    """A window of so many texts: whole documents, each once (again where there are too few), the last one cut."""
    chosen: list[np.ndarray] = []
    while sum(map(len, chosen)) < size:
        chosen += [documents.texts[index] for index in random.permutation(len(documents.texts))]
    return documents.sample.take(np.concatenate(chosen)[:size])


def mixed(ours: Documents, others: Documents, share: float, size: int, random: np.random.Generator) -> Sample:
    """A window of which that share of the texts is of the others, at the end."""
    number = round(size * share)
    if number == size:
        return draw(others, size, random)
    return joined(draw(ours, size - number, random), draw(others, number, random))


def joined(first: Sample, second: Sample) -> Sample:
    """One sample after the other."""
    pairs = {
        name: (getattr(first, name), getattr(second, name)) for name in ("tokens", "groups", "sums", "scores", "counts")
    }
    scored = np.concatenate([first.scored, second.scored + len(first)])
    return Sample(**{name: np.concatenate(pair) for name, pair in pairs.items()}, scored=scored, types=first.types)


def halves(sample: Sample, random: np.random.Generator) -> tuple[Sample, Sample]:
    """Half of the documents, and the others."""
    groups = random.permutation(np.unique(sample.groups))
    first = np.isin(sample.groups, groups[: len(groups) // 2])
    return sample.take(np.flatnonzero(first)), sample.take(np.flatnonzero(~first))


def main() -> None:
    params = read_params()
    world = read_world(PREPARED, RELEASE, REPORTS, SEED)
    found = {
        "params": params.monitor.model_dump(include={field.name for field in fields(DriftSettings)}),
        "halvings": SPLITS,
        "texts": {unit: len(sample) for unit, sample in world.validation.items()},
        "documents": int(len(np.unique(world.validation["document"].groups))),
        "cost": {name: round(seconds, 2) for name, seconds in world.cost.items()},
        "results": simulate(world, settings(params.monitor), SEED),
    }
    write_json(REPORTS / "drift.json", found)
    write_picture(found, REPORTS / "drift.png")
    page = PAGE.read_text(encoding="utf-8")
    write_text(PAGE, MARKS.sub(lambda _: markdown(found), page))
    print(markdown(found), flush=True)


if __name__ == "__main__":
    run_stage("drift-simulation", main)
