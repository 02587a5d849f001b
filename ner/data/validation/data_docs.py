"""Data Docs: each result rendered by Great Expectations' own components, in pages that need no other file.

Its stock pages load styles and scripts from other hosts and carry the time in their paths. Ours
(ner/data/validation/data_docs_pages)
have a fixed name for each split, the stylesheet inside and no script, and are the same, byte for byte, for the same
data.
"""

import re
from pathlib import Path
from typing import Any

from great_expectations.core import ExpectationSuiteValidationResult, ExpectationValidationResult
from great_expectations.render import (
    RenderedDocumentContent,
    RenderedHeaderContent,
    RenderedSectionContent,
    RenderedStringTemplateContent,
    RenderedTableContent,
)
from great_expectations.render.renderer.content_block import ValidationResultsTableContentBlockRenderer
from great_expectations.render.view import DefaultJinjaPageView
from jinja2 import FileSystemLoader

from ner.common.files import replacing_folder, write_text

TEMPLATES = Path(__file__).parent / "data_docs_pages"
UNPRINTED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060\ufeff]")
WHAT = {
    "split": "The split as a whole",
    "tokens": "Each token",
    "sentences": "Each sentence",
    "documents": "Each document",
    "texts": "Each distinct sentence of 5 tokens or more",
    "annotations": "Each annotated entity, as it was read",
}

Results = dict[str, ExpectationSuiteValidationResult]  # of one split, by table


def write_data_docs(folder: Path, report: dict[str, Any], results: dict[str, Results]) -> None:
    """Write index.html and a page for each split in place of `folder`. report: as reduce_results returns it."""
    view = DefaultJinjaPageView()
    loader: Any = view.env.loader  # one that tries a list of others
    loader.loaders.append(FileSystemLoader(TEMPLATES))
    with replacing_folder(folder) as temporary:
        write_text(temporary / "index.html", _clean(view.env.get_template("index.html").render(report=report)))
        for split, tables in results.items():
            document = _document(split, report["splits"][split], tables)
            page = view.render(document, template="split.j2", report=report, split=split)
            write_text(temporary / f"{split}.html", _clean(page))


def _document(split: str, about: dict[str, Any], tables: Results) -> RenderedDocumentContent:
    sections = [
        RenderedSectionContent(
            [_header(table, about), _table(result, about["tables"][table])], section_name=WHAT[table]
        )
        for table, result in tables.items()
    ]
    return RenderedDocumentContent(sections, renderer_type="ValidationResultsPageRenderer", page_title=split)


def _header(table: str, about: dict[str, Any]) -> RenderedHeaderContent:
    held = sum(row["passed"] for row in about["tables"][table])
    rows = "" if table == "split" else f"{about['rows'][table]:,} rows, "
    return RenderedHeaderContent(
        header=_text("h2", WHAT[table]),
        subheader=_text("p", f"{rows}{held} of {len(about['tables'][table])} expectations hold"),
        styling={"classes": ["table-title"]},
    )


def _table(result: ExpectationSuiteValidationResult, reduced: list[dict[str, Any]]) -> RenderedTableContent:
    blocks: list[Any] = [ValidationResultsTableContentBlockRenderer.render([_plain(row)]) for row in result.results]
    rows = []
    for block, facts in zip(blocks, reduced, strict=True):
        status, name = block.table[0][:2]
        name = name[0] if isinstance(name, list) else name  # what follows it counts what `observed` counts
        rows.append([status, [name, *_details(facts)], _text("span", facts["observed"])])
    blocks[0].table = rows
    return blocks[0]


def _plain(result: ExpectationValidationResult) -> ExpectationValidationResult:
    """Return a result without what differs between runs (ids, traces) and what is shown by place instead (examples)."""
    keep = ("element_count", "unexpected_count", "unexpected_percent", "missing_count", "missing_percent")
    return ExpectationValidationResult(
        success=result.success,
        expectation_config=result.expectation_config,
        result={key: value for key, value in result.result.items() if key in keep},
        exception_info={"raised_exception": False, "exception_message": None, "exception_traceback": None},
    )


def _details(facts: dict[str, Any]) -> list[Any]:
    details: list[Any] = [_text("div", f"Expected: {facts['expected']}", "expected")]
    if "reason" in facts:
        details.append(_text("div", facts["reason"], "reason"))
    if facts.get("examples"):
        rows = [[_text("span", row["place"]), _text("code", row["value"] or "(empty)")] for row in facts["examples"]]
        details.append(
            RenderedTableContent(rows, header_row=["Place", "Found"], styling={"body": {"classes": ["examples"]}})
        )
    return details


def _text(tag: str, text: str, *classes: str) -> RenderedStringTemplateContent:
    """Return text as a parameter of a template, which is how Great Expectations escapes it."""
    template = {"template": "$text", "params": {"text": text}, "tag": tag, "styling": {"classes": list(classes)}}
    return RenderedStringTemplateContent(template)


def _clean(page: str) -> str:
    """Return text with unprintable characters escaped and blank lines removed."""
    page = UNPRINTED.sub(lambda match: match[0].encode("unicode_escape").decode(), page)
    return "\n".join(line.rstrip() for line in page.split("\n") if line.strip()) + "\n"
