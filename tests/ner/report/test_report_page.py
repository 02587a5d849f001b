"""The page opens without network, shows what it is given, and hostile text in it stays text."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from ner.evaluation.counts import count
from ner.evaluation.error_analysis import CATEGORIES
from ner.evaluation.scoring import ways_of
from ner.report.label_issues import COLUMNS
from ner.report.report_page import MAX_ROWS, Findings, excerpt, render

SCRIPT = "<script>alert(1)</script>"
BREAKOUTS = ["</script>", "</td></tr></table>", "<!--", "]]>"]
HOSTILE = [SCRIPT, *BREAKOUTS, "<img/src=x/onerror=alert(1)>", "\"'&amp;", "{{7*7}}"]
PICTURE = b"\x89PNG"


def metrics(types: list[str], tags: list[list[str]], read: list[list[str]]) -> dict:
    row = {"precision": 0.9, "recall": 0.8, "f1": 0.85, "f1_strict": 0.84, "accuracy": 0.97}
    split = {
        **row,
        "f1_macro": 0.83,
        "support": 10,
        "predicted": 9,
        "interval": {name: [0.7, 0.95] for name in ("precision", "recall", "f1")},
        "unit": "document",
        "units": 2,
        "per_type": {name: {**row, "support": 5, "predicted": 4, "interval": [0.6, 0.9]} for name in types},
        "ways": ways_of(count(tags, read)),
        "disagreements": 1,
        "sentences": len(tags),
        "words": sum(map(len, tags)),
        "shared_sentences": 0.025,
        "mistakes": dict.fromkeys(CATEGORIES, 1),
        "sentence": row,
        "document": {**row, "f1": 0.91},
    }
    return {
        "mode": "seqeval default (conlleval)",
        "context": "document",
        "fingerprint": "ab" * 32,
        "temperature": 1.2,
        "bootstrap": {"resamples": 1000, "confidence": 0.95, "seed": 42},
        "validation": split,
        "test": split,
        "test_corrected": None,
    }


def findings(tmp_path: Path, words: list[str], kind: str = "PER", mistakes: int = 1, base: str = "encoder") -> Findings:
    """One sentence of `words`, whose first word is annotated as an entity, and predicted with an I- tag."""
    tags, read = [[f"B-{kind}", *["O"] * (len(words) - 1)]], [[f"I-{kind}", *["O"] * (len(words) - 1)]]
    picture = tmp_path / "types.png"
    picture.write_bytes(PICTURE)
    missed = {"category": "missed", "wrong": "gold", "gold_text": words[0], "gold_type": kind, "score": 0.9876}
    nothing = dict.fromkeys(("predicted_text", "predicted_type", "predicted_start", "predicted_end"))
    place = {"document_id": 3, "sentence_id": 0, "line": 12, "gold_start": 0, "gold_end": 1}
    rows = [{"frequency": n + 1, **missed, **nothing, **place, "sentence": " ".join(words)} for n in range(mistakes)]
    issue = [1, "test", 3, 0, 12, words[0], f"B-{kind}", "O", 0.9912, " ".join(words), 0, 1]
    numbers = {"precision": 0.9, "recall": 0.8, "f1": 0.85, "f1_low": 0.8, "f1_high": 0.9}
    numbers |= {"split": "test", "correct": 8, "predicted": 9, "support": 10}
    return Findings(
        metrics=metrics([kind], tags, read),
        training={
            "weights": "c0ffee",
            "base": {"name": base},
            "data": {"source": "corpus"},
            "params": {"train.seed": 42},
            "steps": 10,
        },
        tables={
            "slices": pd.DataFrame(
                [{"split": "test", "slice": "all capitals", "value": "yes", **numbers, "support": 7}]
            ),
            "documents": pd.DataFrame([{**numbers, "document_id": 9, "sentences": 4}]),
        },
        mistakes={split: pd.DataFrame(rows) for split in ("validation", "test")},
        label_issues=pd.DataFrame([issue], columns=[*COLUMNS, "start", "end"]),
        tokens={split: {0: words} for split in ("validation", "test")},
        figures=[picture],
    )


class Page(HTMLParser):
    """The elements of a page with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def test_the_page_shows_scores_mistakes_issues_and_origin(tmp_path):
    page = Page(render(findings(tmp_path, ["Anna", "sleeps"])))
    for text in ("0.8500", "0.7000 to 0.9500", "missed", "0.988", "0.9912", "c0ffee", "ab" * 32, "encoder"):
        assert text in page.text
    assert "1 of 1 sentences of validation and 1 of 1 sentences of test differently" in page.text
    assert {table.get("id") for table in page.named("table")} >= {"mistakes-validation", "mistakes-test", "issues"}


def test_a_corrected_test_set_has_its_score_on_the_page(tmp_path):
    found = findings(tmp_path, ["Anna", "sleeps"])
    about = {"file": "local/corrected.txt", "sha256": "c" * 64, "changed_words": 17, "f1": 0.9444}
    found.metrics["test_corrected"] = found.metrics["test"] | about
    text = " ".join(Page(render(found)).text.split())
    assert "Test, with corrected annotations F1 0.9444 (0.7000 to 0.9500)" in text and "17 words" in text


def test_nothing_is_loaded_and_only_our_script_may_run(tmp_path):
    text = render(findings(tmp_path, ["Anna", "sleeps"]))
    page = Page(text)
    addresses = [
        value for _, attributes in page.elements for name in ("src", "href") if (value := attributes.get(name))
    ]
    assert addresses and all(value.startswith(("#", "data:image/png;base64,")) for value in addresses)
    assert not re.search(r"@import|url\((?!data:)", text)
    policy = next(meta["content"] for meta in page.named("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none';")
    script = re.search(r'<script type="module">(.*?)</script>', text, re.DOTALL)[1]
    assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in policy
    assert "'unsafe-inline'" not in policy.split("script-src")[1].split(";")[0]
    assert [script.get("type") for script in page.named("script")] == ["text/plain", "module"]


def test_the_code_of_the_tables_is_the_whole_bundle(tmp_path):
    code = re.search(r'id="datatables">([^<]*)<', render(findings(tmp_path, ["Anna", "sleeps"])))[1]
    bundle = base64.b64decode(code).decode()
    for name in ("ITable", "set_or_remove_dark_class"):
        assert re.search(rf"export\{{[^}}]*as {name}[,}}]", bundle)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(tmp_path, text):
    harmless, hostile = (
        Page(render(findings(tmp_path, [word, "word", word], kind=word.replace(" ", ""), base=word)))
        for word in ("Anna", text)
    )
    assert [tag for tag, _ in hostile.elements] == [tag for tag, _ in harmless.elements]
    assert hostile.text.count(text) >= 8
    attributes = {name for _, named in hostile.elements for name in named}
    assert attributes == {name for _, named in harmless.elements for name in named}


def test_what_no_browser_prints_is_shown_by_its_escape(tmp_path):
    text = render(findings(tmp_path, ["a\x00b\x1b[31m\u202ec\u2028d\u200be", "word"]))
    assert "a\\x00b\\x1b[31m\\u202ec\\u2028d\\u200be" in text
    assert not re.search("[\x00\x1b\u202e\u2028\u200b]", text)
    assert "\u0928\u200d" in render(findings(tmp_path, ["\u0928\u200d", "word"]))  # a joiner is part of the spelling


def test_a_token_of_a_megabyte_does_not_make_the_page_larger(tmp_path):
    small, large = (len(render(findings(tmp_path, [word, "word"]))) for word in ("x", "x" * 1_000_000))
    assert large - small < 10_000


def test_a_table_has_so_many_rows_and_says_where_the_others_are(tmp_path):
    text = render(findings(tmp_path, ["Anna", "sleeps"], mistakes=MAX_ROWS + 5))
    table = re.search(r'id="mistakes-test">.*?<tbody>(.*?)</tbody>', text, re.DOTALL)[1]
    assert table.count("<tr>") == MAX_ROWS
    assert "2,005 mistakes" in text and "reports/mistakes/test.parquet" in text
    assert "mistakes/test.parquet" not in render(findings(tmp_path, ["Anna", "sleeps"]))


def test_the_same_findings_make_the_same_page(tmp_path):
    assert render(findings(tmp_path, ["Anna"])) == render(findings(tmp_path, ["Anna"]))


def test_an_excerpt_marks_what_overlaps_and_leaves_out_what_is_far():
    tokens = [f"w{index}" for index in range(100)]
    parts = excerpt(tokens, annotated=(50, 53), predicted=(51, 54))
    assert [part.text for part in parts if part.marks] == ["w50", "w51 w52", "w53"]
    assert [part.marks for part in parts if part.marks] == ["annotated", "annotated predicted", "predicted"]
    assert parts[0].text == parts[-1].text == "…"
    assert parts[1].text.startswith("w30 ") and parts[-2].text.endswith(" w73")


@pytest.mark.parametrize("span", [(0, 1), (2, 3), (0, 3), None])
def test_an_excerpt_of_a_short_sentence_is_the_sentence(span):
    assert " ".join(part.text for part in excerpt(["a", "b", "c"], annotated=span)) == "a b c"


def test_cross_validation_is_named_with_the_f1_of_each_fold(tmp_path):
    own = findings(tmp_path, ["Marta"])
    own.metrics["validation"]["folds"] = [0.5, 0.7512]
    page = render(own)
    assert "2-fold cross-validation</h3>" in page and "0.5000, 0.7512" in page
