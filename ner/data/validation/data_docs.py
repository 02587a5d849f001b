"""Data Docs: the report of validation as pages that need no other file.

Great Expectations' stock pages load styles and scripts from other hosts and carry the time in their paths. Ours
(data_docs_pages) have a fixed name for each split, the stylesheet inside and no script, and are the same, byte for
byte, for the same data.
"""

from pathlib import Path
from typing import Any

from ner.common.files import replacing_folder, write_text
from ner.common.pages import templates
from ner.data.validation.library import gx

TEMPLATES = Path(__file__).parent / "data_docs_pages"
WHAT = {
    "split": "The split as a whole",
    "tokens": "Each token",
    "tags": "Each tag",
    "sentences": "Each sentence",
    "documents": "Each document",
    "texts": "Each distinct sentence of 5 tokens or more",
    "annotations": "Each annotated entity, as it was read",
}


def write_data_docs(folder: Path, report: dict[str, Any]) -> None:
    """Write index.html and a page for each split in place of `folder`. report: as reduce_results returns it."""
    pages = templates(TEMPLATES)
    with replacing_folder(folder) as temporary:
        for split in (None, *report["splits"]):
            page = pages.get_template("split.html" if split else "index.html")
            text = page.render(report=report, split=split, what=WHAT, version=gx.__version__)
            write_text(temporary / f"{split or 'index'}.html", text)
