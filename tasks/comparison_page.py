"""A comparison as people read it: one HTML file that opens from the disk, Markdown, and lines for the terminal.

    write_text(Path("comparison.html"), html(found, Path("difference.png")))       # found: of comparison.json

Whatever comes from the corpus or from a model stays text in all of them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ner.comparison import CHALLENGER, CHAMPION
from tasks.comparison_figure import PICTURE
from tasks.plain_text import in_markdown, visible
from tasks.report_page import MAX_ROWS, cut, environment, inside, marked, picture
from tasks.tables import plain_table

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


def html(found: Mapping[str, Any], figure: Path) -> str:
    """The page."""
    return (
        environment()
        .get_template("comparison.html")
        .render(
            found=found,
            names=[found[side]["name"] for side in SIDES],
            rows={split: [_row(one) for one in told["only_one_right"]] for split, told in found["splits"].items()},
            right=RIGHT,
            max_rows=MAX_ROWS,
            figure=picture(figure, PICTURE.caption),
            **inside(),
        )
    )


def markdown(found: Mapping[str, Any]) -> str:
    """The page for Prefect and for whoever reads plain text."""
    names = (in_markdown(found[side]["name"]) for side in SIDES)
    lines = [f"# {' against '.join(names)}", "", f"Data: fingerprint `{found['fingerprint'][:16]}`."]
    for split, told in found["splits"].items():
        head, *rows = difference_rows(split, told)
        lines += ["", f"## {split}", "", f"{in_markdown(told['verdict'])}", ""]
        lines += [_cells(["", *head[1:]]), "|---" + "|---:" * (len(head) - 1) + "|"]
        lines += [_cells(map(in_markdown, row)) for row in rows]
        lines += ["", in_markdown(_legend(found, told)), "", "| sentences | |", "|---|---:|"]
        lines += [f"| {RIGHT[name]} | {count:,} |" for name, count in told["sentences"].items()]
        shown = text_rows(found, split)
        if shown:
            lines += ["", f"### {split}: the sentences that only one gets right{_of(shown, MARKDOWN_ROWS)}", ""]
            lines += [_cells(shown[0]), "|---" * len(shown[0]) + "|"]
            lines += [_cells(map(str, row.values())) for row in shown[:MARKDOWN_ROWS]]
    return "\n".join(lines) + "\n"


def text_rows(found: Mapping[str, Any], split: str | None = None) -> list[dict[str, Any]]:
    """The sentences that only one gets right as rows, their cells in Markdown, of one split or of all."""
    rows = []
    for name, told in found["splits"].items():
        for one in told["only_one_right"] if split in (None, name) else ():
            row = _row(one)
            said = {side: row[side] if isinstance(row[side], str) else _listed(row[side]) for side in SIDES}
            sentence = cut(" ".join(part.text for part in row["parts"]), MAX_CELL)
            place = {"document": row["document_id"], "sentence": row["sentence_id"]}
            text = {"text": in_markdown(sentence), "annotated": _listed(row["annotated"])}
            rows.append({"split": name, "right": row["right"], **text, **said, **place})
    return rows


def terminal(found: Mapping[str, Any]) -> str:
    """Differences, counts of sentences, and the verdict."""
    parts = [f"{found[CHALLENGER]['name']} (challenger) against {found[CHAMPION]['name']} (champion), by F1"]
    table: list[list[str]] = []
    for split, told in found["splits"].items():
        head, *rows = difference_rows(split, told)
        table += rows if table else [head, *rows]
    parts += ["", plain_table(table), "", _legend(found, next(iter(found["splits"].values()))), ""]
    splits = found["splits"].values()
    counts = [["sentences", *found["splits"]]]
    counts += [[f"  {words}", *(f"{told['sentences'][name]:,}" for told in splits)] for name, words in RIGHT.items()]
    counts += [["  sign test, p", *(f"{told['p_sign']:.3g}" for told in splits)]]
    return visible("\n".join([*parts, plain_table(counts), "", *(told["verdict"] for told in splits)]))


def difference_rows(split: str, told: Mapping[str, Any]) -> list[list[str]]:
    """A heading, a row for all entities of the split and one for each type."""
    rows = [["", "challenger", "champion", "difference", "interval", "share worse", "annotated"]]
    for name, said in {split: told["overall"], **{f"  {n}": row for n, row in told["per_type"].items()}}.items():
        low, high = said["interval"]
        scores = [f"{said['f1']:.4f}", f"{said['other_f1']:.4f}", f"{said['difference']:+.4f}"]
        rows.append([name, *scores, f"{low:+.4f} to {high:+.4f}", f"{said['p_worse']:.3f}", f"{said['support']:,}"])
    return rows


def _row(one: Mapping[str, Any]) -> dict[str, Any]:
    """What differs: the annotated entities that the wrong side lacks, and those that it has and should not."""
    wrong = OTHER[one["right"]]
    annotated = [entity for entity in one["gold"] if entity not in one[wrong]]
    read = [entity for entity in one[wrong] if entity not in one["gold"]]
    return {
        **{name: one[name] for name in ("right", "document_id", "sentence_id", "line")},
        "annotated": annotated,
        one["right"]: "as annotated",
        wrong: read,
        "parts": marked(one["tokens"], annotated=_spans(annotated), predicted=_spans(read)),
    }


def _spans(entities: list[dict[str, Any]]) -> list[tuple[int, int]]:
    return [(entity["start"], entity["end"]) for entity in entities]


def _listed(entities: list[dict[str, Any]]) -> str:
    shown = "; ".join(f"{cut(entity['text'], 80)} {cut(entity['type'], 40)}" for entity in entities)
    return in_markdown(cut(shown, MAX_LISTED)) or "–"


def _legend(found: Mapping[str, Any], told: Mapping[str, Any]) -> str:
    return LEGEND.format(resamples=found["bootstrap"]["resamples"], units=told["unit"])


def _of(rows: list[Any], limit: int) -> str:
    return f" (the first {limit} of {len(rows):,})" if len(rows) > limit else ""


def _cells(cells: Any) -> str:
    return "| " + " | ".join(cells) + " |"
