"""The drift report: one page of Markdown for Prefect and MLflow."""

from collections.abc import Mapping
from typing import Any

from ner.common.escaping import in_markdown
from ner.common.tables import markdown_table
from ner.monitoring.drift.statistics import Move, shown


def markdown(report: Mapping[str, Any]) -> str:
    """Return the report page of a comparison. report: what ner.monitoring.monitor writes as drift.json."""
    about = report["window"]
    lines = [
        f"# {in_markdown(report['sentence'])}",
        "",
        f"- version: {in_markdown(report['version'])}",
        f"- window: {about['texts']:,} texts of {about['tokens']:,} tokens, {about['first']} to {about['last']}",
        f"- reference: validation of that version, read as {report['unit']}s ({report['reference_texts']:,} texts)",
        f"- tokens a text: {about['tokens_a_text']:.0f} in the median, {report['reference_tokens_a_text']:.0f} in the "
        "reference (not tested: callers cut texts as they like)",
        f"- retraining: {in_markdown(report['rule']['sentence'])}",
        "",
        markdown_table(
            ["value", "reference", "window", "distance", "allowed", "p", ""],
            [_cells(Move(**row)) for row in report["moves"]],
        ),
        "",
        "A value has drifted where its distance is over the limit (by chance, or too little to matter) and p, "
        "corrected for all values, under the share of false alarms that is allowed.",
    ]
    return "\n".join(lines) + "\n"


def _cells(move: Move) -> list[str]:
    texts = [move.name, shown(move, move.reference), shown(move, move.window)]
    numbers = [f"{move.distance:.3f}", f"{move.allowed:.3f}", f"{move.p:.1e}"]
    return [*map(in_markdown, texts), *numbers, "**drifted**" if move.moved else ""]
