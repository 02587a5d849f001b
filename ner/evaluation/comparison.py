"""Compares two models on the same sentences: which sentences only one of them gets right, and the verdict.

    challenger, champion = right_sentences(gold, predicted), right_sentences(gold, predicted_by_the_other)
    counts = sides(challenger, champion)                  # {"both": 2900, "challenger": 31, "champion": 12, …}
    p = sign_test(counts["challenger"], counts["champion"])

A sentence is right where its entities are exactly the annotated ones; without annotated ones, where none is invented.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ner.data.entities import entity_table, mark_correct
from ner.tags import tags_to_spans

CHALLENGER, CHAMPION = "challenger", "champion"
BETTER, WORSE, UNDECIDED, SAME = "better", "worse", "undecided", "same"


def right_sentences(gold: Sequence[Sequence[str]], tags: Sequence[Sequence[str]]) -> np.ndarray:
    """Whether each sentence is right: a bool array [n_sentences]. Both arguments are tags."""
    annotated, predicted = entity_table(gold), entity_table(tags)
    mark_correct(annotated, predicted)
    right = np.ones(len(gold), bool)
    for table in (annotated, predicted):
        right[table.loc[~table["correct"], "sentence"].to_numpy(int)] = False
    return right


def sides(challenger: np.ndarray, champion: np.ndarray) -> dict[str, int]:
    """Return how many sentences both get right, only one of them, and neither."""
    return {
        "both": int((challenger & champion).sum()),
        CHALLENGER: int((challenger & ~champion).sum()),
        CHAMPION: int((champion & ~challenger).sum()),
        "neither": int((~challenger & ~champion).sum()),
    }


def sign_test(first: int, other: int) -> float:
    """Return the p-value of the sign test: the probability of so uneven a pair of counts where both are equally good; 1
    for none.

    The exact form of McNemar's test. It takes the sentences as independent, which those of a document are not quite.
    """
    from scipy.stats import binomtest

    return float(binomtest(first, first + other).pvalue) if first + other else 1.0


def p_value(p: float) -> str:
    """Return the p-value as `= 0.0123`, or `< 0.0001`: no p is 0."""
    return "< 0.0001" if p < 0.0001 else f"= {p:.3g}"


def only_one_right(
    tokens: Sequence[Sequence[str]],
    gold: Sequence[Sequence[str]],
    challenger: Sequence[Sequence[str]],
    champion: Sequence[Sequence[str]],
) -> list[dict[str, Any]]:
    """Return the sentences that only one model gets right, the champion's first.

    A row has `sentence` (its index), `right` (who), tokens, and the entities of gold, challenger and champion.
    """
    ours, theirs = right_sentences(gold, challenger), right_sentences(gold, champion)
    rows = []
    for index in np.flatnonzero(ours != theirs).tolist():
        tags = {"gold": gold[index], CHALLENGER: challenger[index], CHAMPION: champion[index]}
        rows.append(
            {
                "sentence": index,
                "right": CHALLENGER if ours[index] else CHAMPION,
                "tokens": list(tokens[index]),
                **{name: entities(tokens[index], of) for name, of in tags.items()},
            }
        )
    return sorted(rows, key=lambda row: row["right"] == CHALLENGER)


def entities(tokens: Sequence[str], tags: Sequence[str]) -> list[dict[str, Any]]:
    """Return type, start and end (half-open, in tokens) and text of each entity."""
    spans = tags_to_spans(tags)
    return [
        {"type": name, "start": start, "end": end, "text": " ".join(tokens[start:end])} for start, end, name in spans
    ]


def outcome(scores: Mapping[str, Any], is_same: bool) -> str:
    """Return what the interval of a difference says of the challenger: BETTER, WORSE, UNDECIDED or SAME."""
    low, high = scores["interval"]
    if is_same:
        return SAME
    return BETTER if low > 0 else WORSE if high < 0 else UNDECIDED


def verdict(names: Sequence[str], split: str, numbers: Mapping[str, Any], confidence: float) -> str:
    """Return one sentence on a split. names: of both models; numbers: of ner.registry.comparison.compare."""
    (ours, theirs), scores = names, numbers["overall"]
    if numbers["outcome"] == SAME:
        return f"{ours} and {theirs} predict the same tags throughout {split}."
    head = {
        BETTER: f"{ours} is better than {theirs} on {split}",
        WORSE: f"{ours} is worse than {theirs} on {split}",
        UNDECIDED: f"{split} does not tell which of {ours} and {theirs} is better",
    }[numbers["outcome"]]
    return f"{head}: {_scores(scores, confidence)}; {_only(numbers)}."


def one_line(champion: str, split: str, numbers: Mapping[str, Any], confidence: float) -> str:
    """Return the verdicts of both splits in a line for a tag of the challenger."""
    if numbers["outcome"] == SAME:
        return f"same tags as {champion} throughout {split}"
    head = {BETTER: "better than", WORSE: "worse than", UNDECIDED: "undecided against"}[numbers["outcome"]]
    return f"{head} {champion} on {split}: {_scores(numbers['overall'], confidence)}; {_only(numbers)}"


def _scores(scores: Mapping[str, Any], confidence: float) -> str:
    low, high = scores["interval"]
    return (
        f"F1 {scores['f1']:.4f} against {scores['other_f1']:.4f}, difference {scores['difference']:+.4f}, "
        f"{100 * confidence:g} % interval {low:+.4f} to {high:+.4f}"
    )


def _only(numbers: Mapping[str, Any]) -> str:
    sentences = numbers["sentences"]
    return (
        f"{sentences[CHALLENGER]:,} sentences only the challenger gets right, {sentences[CHAMPION]:,} only the "
        f"champion (sign test p {p_value(numbers['p_sign'])})"
    )
