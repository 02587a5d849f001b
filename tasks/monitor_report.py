"""A look of the monitor in words: one page of Markdown for Prefect and MLflow."""

from collections.abc import Mapping
from typing import Any

from ner.drift import Move, shown
from tasks.plain_text import in_markdown


def markdown(found: Mapping[str, Any]) -> str:
    """found: what tasks.monitor writes as drift.json."""
    about = found["window"]
    lines = [
        f"# {in_markdown(found['sentence'])}",
        "",
        f"- version: {in_markdown(found['version'])}",
        f"- window: {about['texts']:,} texts of {about['tokens']:,} tokens, {about['first']} to {about['last']}",
        f"- held against: validation of that version, read as {found['unit']}s ({found['reference_texts']:,} texts)",
        f"- tokens a text: {about['tokens_a_text']:.0f} in the median, {found['reference_tokens_a_text']:.0f} in the "
        "reference (told only: callers cut texts as they like)",
        f"- retraining: {in_markdown(found['rule']['sentence'])}",
        "",
        "| value | reference | window | distance | allowed | p | |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in found["moves"]:
        move = Move(**row)
        verdict = "**moved**" if move.moved else ""
        cells = [move.name, shown(move, move.reference), shown(move, move.window)]
        numbers = [f"{move.distance:.3f}", f"{move.allowed:.3f}", f"{move.p:.1e}", verdict]
        lines.append("| " + " | ".join([*map(in_markdown, cells), *numbers]) + " |")
    lines += [
        "",
        "A value moved where its distance is over what is allowed (by chance, or too little to matter) and p, corrected"
        " for all values, under the share of false alarms that is allowed.",
    ]
    return "\n".join(lines) + "\n"
