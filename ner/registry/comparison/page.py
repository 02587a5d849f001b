"""A comparison as people read it: one HTML file that opens from the disk, Markdown, and lines for the terminal.

    write_text(Path("comparison.html"), html(report))       # report: of comparison.json

Whatever comes from the corpus or from a model stays text in all of them.
"""

from collections.abc import Mapping
from typing import Any

from ner.common.escaping import in_markdown, visible
from ner.common.tables import markdown_table, plain_table
from ner.evaluation.comparison import CHALLENGER, CHAMPION, p_value
from ner.report.report_page import MAX_ROWS, cut, environment, inside, marked

MARKDOWN_ROWS = 50  # sentences of a split
MAX_CELL, MAX_LISTED = 300, 150  # characters of a sentence, and of a list of entities, in a plain cell
SIDES = (CHALLENGER, CHAMPION)
OTHER = {CHALLENGER: CHAMPION, CHAMPION: CHALLENGER}
LEGEND = "share worse: of {resamples:,} resamples of {units}s, those in which the challenger is worse"
RIGHT = {
    "both": "both get right",
    CHALLENGER: "only the challenger gets right",
    CHAMPION: "only the champion gets right",
    "neither": "neither gets right",
}


def html(report: Mapping[str, Any]) -> str:
    """Return the page of a comparison as HTML."""
    return (
        environment()
        .get_template("comparison.html")
        .render(
            report=report,
            names=[report[side]["name"] for side in SIDES],
            rows={
                split: [_row(sentence) for sentence in result["only_one_right"]]
                for split, result in report["splits"].items()
            },
            right=RIGHT,
            max_rows=MAX_ROWS,
            p_value=p_value,
            live_sentence=live_sentence,
            **inside(),
        )
    )


def markdown(report: Mapping[str, Any]) -> str:
    """Return the page of a comparison as Markdown, for Prefect and plain text."""
    names = (in_markdown(report[side]["name"]) for side in SIDES)
    lines = [f"# {' against '.join(names)}", "", f"Data: fingerprint `{report['fingerprint'][:16]}`."]
    for split, result in report["splits"].items():
        head, *rows = difference_rows(split, result)
        lines += ["", f"## {split}", "", f"{in_markdown(result['verdict'])}", ""]
        cells = [list(map(in_markdown, row)) for row in rows]
        lines += [markdown_table(["", *head[1:]], cells, "l" + "r" * (len(head) - 1))]
        counts = [(RIGHT[name], f"{count:,}") for name, count in result["sentences"].items()]
        lines += ["", in_markdown(_legend(report, result)), "", markdown_table(["sentences", ""], counts)]
        shown = text_rows(report, split)
        if shown:
            lines += ["", f"### {split}: the sentences that only one gets right{_of(shown, MARKDOWN_ROWS)}", ""]
            lines += [markdown_table(list(shown[0]), [list(row.values()) for row in shown[:MARKDOWN_ROWS]])]
    if live := report.get("live"):
        head, *rows = live_rows(live)
        lines += ["", "## Live traffic", "", live_sentence(live), "", markdown_table(head, rows, "lrrr")]
        examples = [
            [in_markdown(cut(item["text"], MAX_CELL)), *(_listed(item[side]) for side in SIDES)]
            for item in live["examples"][:MARKDOWN_ROWS]
        ]
        lines += ["", markdown_table(["text", *(f"only the {side}" for side in SIDES)], examples)] if examples else []
    return "\n".join(lines) + "\n"


def live_sentence(live: Mapping[str, Any]) -> str:
    """Return how often two versions differ on texts that both read while one served."""
    share = f"{live['differ']:,} ({live['differ'] / live['texts']:.1%})"
    return f"Of {live['texts']:,} texts that both read from {live['since']} to {live['until']} UTC, {share} differ."


def live_rows(live: Mapping[str, Any]) -> list[list[str]]:
    """Return a heading, and for each type how many entities both see, and how many one alone."""
    head = ["entities of live traffic", "both", *(f"only the {side}" for side in SIDES)]
    return [head, *([in_markdown(name), *(f"{n:,}" for n in row.values())] for name, row in live["per_type"].items())]


def text_rows(report: Mapping[str, Any], split: str | None = None) -> list[dict[str, Any]]:
    """Return the sentences that only one gets right as rows, their cells in Markdown, of one split or of all."""
    rows = []
    for name, result in report["splits"].items():
        for item in result["only_one_right"] if split in (None, name) else ():
            row = _row(item)
            readings = {side: row[side] if isinstance(row[side], str) else _listed(row[side]) for side in SIDES}
            sentence = cut(" ".join(part.text for part in row["parts"]), MAX_CELL)
            place = {"document": row["document_id"], "sentence": row["sentence_id"]}
            text = {"text": in_markdown(sentence), "annotated": _listed(row["annotated"])}
            rows.append({"split": name, "right": row["right"], **text, **readings, **place})
    return rows


def terminal(report: Mapping[str, Any]) -> str:
    """Return the summary for a terminal: differences, counts of sentences, and the verdict."""
    parts = [f"{report[CHALLENGER]['name']} (challenger) against {report[CHAMPION]['name']} (champion), by F1"]
    table: list[list[str]] = []
    for split, result in report["splits"].items():
        head, *rows = difference_rows(split, result)
        table += rows if table else [head, *rows]
    parts += ["", plain_table(table), "", _legend(report, next(iter(report["splits"].values()))), ""]
    splits = report["splits"].values()
    counts = [["sentences", *report["splits"]]]
    counts += [
        [f"  {words}", *(f"{result['sentences'][name]:,}" for result in splits)] for name, words in RIGHT.items()
    ]
    counts += [["  sign test, p", *(p_value(result["p_sign"]) for result in splits)]]
    lines = [*parts, plain_table(counts), ""]
    if live := report.get("live"):
        lines += [live_sentence(live), plain_table(live_rows(live)), ""]
    return visible("\n".join([*lines, *(result["verdict"] for result in splits)]))


def difference_rows(split: str, result: Mapping[str, Any]) -> list[list[str]]:
    """Return a heading, a row for all entities of the split and one for each type."""
    rows = [["", "challenger", "champion", "difference", "interval", "share worse", "annotated"]]
    for name, entry in {split: result["overall"], **{f"  {n}": row for n, row in result["per_type"].items()}}.items():
        low, high = entry["interval"]
        scores = [f"{entry['f1']:.4f}", f"{entry['other_f1']:.4f}", f"{entry['difference']:+.4f}"]
        rows.append([name, *scores, f"{low:+.4f} to {high:+.4f}", f"{entry['p_worse']:.3f}", f"{entry['support']:,}"])
    return rows


def _row(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return what differs: the annotated entities that the wrong side lacks, and those that it has and should not."""
    wrong = OTHER[item["right"]]
    annotated = [entity for entity in item["gold"] if entity not in item[wrong]]
    read = [entity for entity in item[wrong] if entity not in item["gold"]]
    return {
        **{name: item[name] for name in ("right", "document_id", "sentence_id", "line")},
        "annotated": annotated,
        item["right"]: "as annotated",
        wrong: read,
        "parts": marked(item["tokens"], annotated=_spans(annotated), predicted=_spans(read)),
    }


def _spans(entities: list[dict[str, Any]]) -> list[tuple[int, int]]:
    return [(entity["start"], entity["end"]) for entity in entities]


def _listed(entities: list[dict[str, Any]]) -> str:
    shown = "; ".join(f"{cut(entity['text'], 80)} {cut(entity['type'], 40)}" for entity in entities)
    return in_markdown(cut(shown, MAX_LISTED)) or "–"


def _legend(report: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    return LEGEND.format(resamples=report["bootstrap"]["resamples"], units=result["unit"])


def _of(rows: list[Any], limit: int) -> str:
    return f" (the first {limit} of {len(rows):,})" if len(rows) > limit else ""
