"""reports/report.html: one file with the scores, figures, mistakes and suspected annotations of a model.

    write_text(Path("reports/report.html"), render(Findings(metrics=metrics, …)))

It opens from the disk: pictures, styles and the code of the tables (DataTables, from itables) are inside, its content
security policy lets nothing be loaded from anywhere and no other script run, and without scripts the tables can still
be read. The same findings make the same bytes.
"""

import base64
import hashlib
import importlib.resources
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from jinja2 import Environment
from markupsafe import Markup

from ner.common.pages import templates
from ner.evaluation.error_analysis import CATEGORIES
from ner.evaluation.scoring import WAYS
from ner.report.drawing import SPLITS
from ner.report.figures import FIGURES

TEMPLATES = Path(__file__).parent / "report_templates"
MAX_ROWS = 2000  # of a table in the page
MAX_DOCUMENTS = 20
AROUND = 20  # tokens of a sentence that are shown on each side of what the row is about
MAX_TEXT = 240  # characters of a cell, or of a part of a sentence


@dataclass(frozen=True)
class Findings:
    """The content of the page. mistakes, tokens: by split; tokens: of each sentence_id."""

    metrics: dict[str, Any]
    training: dict[str, Any]
    tables: dict[str, pd.DataFrame]  # of the CSV files, by name
    mistakes: dict[str, pd.DataFrame]  # as in reports/mistakes
    label_issues: pd.DataFrame  # of ner.report.label_issues
    tokens: dict[str, dict[int, list[str]]]
    figures: Sequence[Path]


class Part(NamedTuple):
    """A piece of a sentence. marks: the names of its spans with a space between: "annotated", "predicted", or ""."""

    text: str
    marks: str


def render(findings: Findings) -> str:
    """Return the page as HTML."""
    return (
        environment()
        .get_template("report.html")
        .render(
            metrics=findings.metrics,
            training=findings.training,
            splits=SPLITS,
            ways=WAYS,
            meaning=CATEGORIES,
            figures=[picture(path, FIGURES[path.stem].caption) for path in findings.figures],
            slices=_wide(findings.tables["slices"]),
            documents={split: _worst(findings.tables["documents"], split) for split in SPLITS},
            mistakes={split: _mistake_rows(findings, split) for split in SPLITS},
            label_issues=_issue_rows(findings),
            totals={split: len(table) for split, table in findings.mistakes.items()},
            issues=len(findings.label_issues),
            max_rows=MAX_ROWS,
            **inside(),
        )
    )


def inside() -> dict[str, str]:
    """Return what every page carries: its style, the code of the tables, our script and its hash."""
    script = (TEMPLATES / "tables.js").read_text(encoding="utf-8")
    bundle = importlib.resources.files("itables") / "html"
    return {
        "style": Markup((TEMPLATES / "style.css").read_text(encoding="utf-8")),
        "table_style": Markup((bundle / "dt_bundle.css").read_text(encoding="utf-8")),
        "table_code": Markup(_base64((bundle / "dt_bundle.js").read_bytes())),
        "script": Markup(script),
        "script_hash": _base64(hashlib.sha256(script.encode()).digest()),
    }


def picture(path: Path, caption: str) -> dict[str, str]:
    """Return a PNG file as a page shows it."""
    return {"name": path.stem, "data": _base64(path.read_bytes()), "caption": caption}


def excerpt(tokens: Sequence[str], **spans: tuple[int, int] | None) -> list[Part]:
    """Split a sentence into parts by the spans, [start, end) in tokens, that cover them; text far from these is left
    out.

    excerpt(["In", "New", "York"], annotated=(1, 3), predicted=(2, 3)) has the parts "In", "New" and "York".
    """
    return marked(tokens, **{name: [span] if span else [] for name, span in spans.items()})


def marked(tokens: Sequence[str], **layers: Sequence[tuple[int, int]]) -> list[Part]:
    """Return the excerpt for any number of spans of each name, which do not overlap within it."""
    places = [place for spans in layers.values() for span in spans for place in span] or [0]
    first, last = max(0, min(places) - AROUND), min(len(tokens), max(places) + AROUND)
    edges = sorted({first, last, *(min(max(place, first), last) for place in places)})
    parts = [Part("…", "")] if first else []
    for start, end in zip(edges, edges[1:], strict=False):
        marks = [name for name, spans in layers.items() if any(low <= start and end <= high for low, high in spans)]
        parts.append(Part(" ".join(tokens[start:end]), " ".join(marks)))
    return [*parts, Part("…", "")] if last < len(tokens) else parts


def cut(text: str, limit: int = MAX_TEXT) -> str:
    """Return at most `limit` characters, with the middle left out."""
    return text if len(text) <= limit else f"{text[: limit // 2]} … {text[-(limit // 2) :]}"


def environment() -> Environment:
    """Return templates that escape whatever comes from a corpus or a model."""
    made = templates(TEMPLATES)
    made.filters |= {"cut": cut, "score": _score, "count": _count, "blank": _blank}
    return made


def _score(value: float | None, digits: int = 4) -> str:
    return "–" if value is None or pd.isna(value) else f"{value:.{digits}f}"


def _count(value: float | None) -> str:
    return "–" if value is None or pd.isna(value) else f"{int(value):,}"


def _blank(value: Any) -> Any:
    return "" if value is None or pd.isna(value) else value


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _wide(slices: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a row per slice and value, with the numbers of each split that has it."""
    rows = []
    for (name, value), own in slices.groupby(["slice", "value"], sort=False):
        rows.append({"slice": name, "value": value, **{row["split"]: row for row in own.to_dict("records")}})
    return rows


def _worst(documents: pd.DataFrame, split: str) -> list[dict[str, Any]]:
    rows = documents[documents["split"] == split].head(MAX_DOCUMENTS)
    return rows.assign(wrong=rows["predicted"] + rows["support"] - 2 * rows["correct"]).to_dict("records")


def _mistake_rows(findings: Findings, split: str) -> list[dict[str, Any]]:
    rows = findings.mistakes[split].head(MAX_ROWS).to_dict("records")
    for row in rows:
        row["parts"] = excerpt(
            findings.tokens[split][row["sentence_id"]],
            annotated=_span(row["gold_start"], row["gold_end"]),
            predicted=_span(row["predicted_start"], row["predicted_end"]),
        )
    return rows


def _issue_rows(findings: Findings) -> list[dict[str, Any]]:
    rows = findings.label_issues.head(MAX_ROWS).to_dict("records")
    for row in rows:
        tokens = findings.tokens[row["split"]][row["sentence_id"]]
        row["parts"] = excerpt(tokens, annotated=(row["start"], row["end"]))
    return rows


def _span(start: Any, end: Any) -> tuple[int, int] | None:
    return None if pd.isna(start) else (int(start), int(end))
