"""Where a challenger that reads in the shadow of `make serve` sees other entities than the version that answers.

    live = live_differences("ner/4", "ner/3")    # None where the two never read the same texts

The server keeps a line for each text that both read (ner/serving/challenger.py): numbers, and the text where
monitor.keep is text.
"""

import json
from collections import Counter
from contextlib import suppress
from typing import Any

from ner.common.place import monitor_folder
from ner.evaluation.comparison import CHALLENGER, CHAMPION

EXAMPLES = 100  # texts that differ, the newest
COUNTS = ("both", CHALLENGER, CHAMPION)


def live_differences(challenger: str, champion: str) -> dict[str, Any] | None:
    """Return how many texts both read, how many differ, counts of entities by type, and the newest that differ."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in COUNTS}
    times, differing = [], []
    for row in _rows(challenger, champion):
        times.append(row["time"])
        counts["both"].update(row["both"])
        for side in (CHALLENGER, CHAMPION):
            counts[side].update(name for name, _, _ in row[side])
        if row[CHALLENGER] or row[CHAMPION]:
            differing.append(row)
    if not times:
        return None
    newest = sorted(differing, key=lambda row: row["time"])[-EXAMPLES:]
    types = sorted({name for counter in counts.values() for name in counter})
    return {
        "texts": len(times),
        "differ": len(differing),
        "since": min(times)[:16],
        "until": max(times)[:16],
        "per_type": {name: {which: counts[which][name] for which in COUNTS} for name in types},
        "examples": [_example(row) for row in reversed(newest) if "text" in row],
    }


def _rows(challenger: str, champion: str) -> list[dict[str, Any]]:
    """Return the lines of these two; half lines, and files that go meanwhile, are left out."""
    rows = []
    for path in sorted(monitor_folder().glob("shadow-*.jsonl")):
        with suppress(FileNotFoundError), path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                with suppress(ValueError):
                    row = json.loads(line)
                    if row.get("model") == champion and row.get("against") == challenger:
                        rows.append(row)
    return rows


def _example(row: dict[str, Any]) -> dict[str, Any]:
    """Return the text, and what one alone sees in it, with its type."""
    text, sides = row["text"], {side: row[side] for side in (CHALLENGER, CHAMPION)}
    named = {
        side: [{"type": name, "text": text[start:end]} for name, start, end in spans] for side, spans in sides.items()
    }
    return {"text": text, **named}
