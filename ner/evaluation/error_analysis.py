"""Every wrong entity with the category of its mistake, and the confusion between types.

    table = mistakes(gold, predicted)        # marked tables of ner.data.entities

| category | there is |
|---|---|
| boundary | an overlapping entity of the same type, with other boundaries |
| type     | an entity of the same span, of another type |
| both     | an overlapping entity with other boundaries, of another type |
| missed   | a gold entity that no predicted one overlaps |
| invented | a predicted entity that no gold one overlaps |

A wrong gold and a wrong predicted entity that overlap make one row. Where one overlaps several, the largest overlap is
the pair; what is left over has a row of its own, beside the entity that it overlaps. So the rows whose `wrong` is not
`predicted` are the entities that recall lacks, and those whose `wrong` is not `gold` are those that precision lacks.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

CATEGORIES = {
    "boundary": "right type, wrong boundaries",
    "type": "right boundaries, wrong type",
    "both": "overlaps, but wrong in both",
    "missed": "nothing predicted there",
    "invented": "nothing annotated there",
}
BOTH_SIDES, GOLD_ONLY, PREDICTED_ONLY = "gold and predicted", "gold", "predicted"
NONE = "no entity"
COLUMNS = [
    "sentence", "category", "wrong", "gold_start", "gold_end", "gold_type",
    "predicted_start", "predicted_end", "predicted_type", "score",
]  # fmt: skip


def mistakes(gold: pd.DataFrame, predicted: pd.DataFrame) -> pd.DataFrame:
    """Return a row per mistake (COLUMNS), in the order of the sentences; positions are in tokens, missing ones are
    <NA>.

    gold, predicted: marked tables. score: that of the predicted entity; NaN where there is none.
    """
    here, there = (_by_sentence(table[~table["correct"]]) for table in (gold, predicted))
    rows = []
    for sentence in sorted(here.keys() | there.keys()):
        rows += [[sentence, *row] for row in _of_sentence(here.get(sentence, []), there.get(sentence, []))]
    table = pd.DataFrame(rows, columns=COLUMNS)
    places = [name for name in COLUMNS if name.endswith(("_start", "_end"))]
    return table.astype({**dict.fromkeys(places, "Int64"), "sentence": int, "score": float})


def confusion(gold: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Return how many gold entities of each type were predicted as each type: columns gold, predicted, entities.

    gold: marked; table: of `mistakes`. Entities that overlap are compared, so one with wrong boundaries counts by its
    type; NONE stands for nothing there. Leftovers (see above) do not count twice.
    """
    right = gold.loc[gold["correct"], "type"]
    paired = table[table["wrong"].eq(BOTH_SIDES) | table["category"].isin(["missed", "invented"])]
    pairs = pd.DataFrame(
        {
            "gold": [*right, *paired["gold_type"].fillna(NONE)],
            "predicted": [*right, *paired["predicted_type"].fillna(NONE)],
        }
    )
    return pairs.groupby(["gold", "predicted"]).size().rename("entities").reset_index()


def _of_sentence(missing: list[Any], extra: list[Any]) -> Iterator[list[Any]]:
    overlaps = [
        (-_overlap(ours, theirs), ours.type != theirs.type, i, j)
        for i, ours in enumerate(missing)
        for j, theirs in enumerate(extra)
        if _overlap(ours, theirs) > 0
    ]
    paired_gold: dict[int, int] = {}
    paired_found: dict[int, int] = {}
    for _, _, i, j in sorted(overlaps):
        if i not in paired_gold and j not in paired_found:
            paired_gold[i], paired_found[j] = j, i
    rows = [_row(missing[i], extra[j], BOTH_SIDES) for i, j in paired_gold.items()]
    for i in set(range(len(missing))) - paired_gold.keys():
        best = min((entry for entry in overlaps if entry[2] == i), default=None)
        rows.append(_row(missing[i], extra[best[3]] if best else None, GOLD_ONLY))
    for j in set(range(len(extra))) - paired_found.keys():
        best = min((entry for entry in overlaps if entry[3] == j), default=None)
        rows.append(_row(missing[best[2]] if best else None, extra[j], PREDICTED_ONLY))
    yield from sorted(rows, key=lambda row: min(at for at in (row[2], row[5]) if at is not None))


def _row(gold: Any, predicted: Any, wrong: str) -> list[Any]:
    ours = [gold.start, gold.end, gold.type] if gold else [None] * 3
    theirs = (
        [predicted.start, predicted.end, predicted.type, predicted.score] if predicted else [None, None, None, np.nan]
    )
    return [_category(gold, predicted), wrong, *ours, *theirs]


def _category(gold: Any, predicted: Any) -> str:
    if gold is None or predicted is None:
        return "missed" if predicted is None else "invented"
    if (gold.start, gold.end) == (predicted.start, predicted.end):
        return "type"
    return "boundary" if gold.type == predicted.type else "both"


def _overlap(span: Any, other: Any) -> int:
    return min(span.end, other.end) - max(span.start, other.start)


def _by_sentence(table: pd.DataFrame) -> dict[int, list[Any]]:
    rows: dict[int, list[Any]] = {}
    for row in table.itertuples():
        rows.setdefault(row.sentence, []).append(row)
    return rows
