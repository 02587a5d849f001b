"""Our small corpus, broken in one place at a time: the stage names the place, and writes its report before it stops."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import great_expectations.expectations as gxe
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ner.common.escaping import is_visible
from ner.common.files import sha256_file, sha256_folder
from ner.data.prepared import read_manifest
from ner.data.validation.report import reduce_results
from ner.data.validation.run import examine, run_suites, validate
from ner.data.validation.scan import Fault, read_scans
from ner.data.validation.tables import build_tables
from ner.errors import NerError, ValidationFailed
from ner.params import ValidationParams

LIMITS = {
    "max_sentence_tokens": 512, "max_token_chars": 100, "max_shared_sentences": 0.1, "max_copied_documents": 0,
    "max_unreadable_tokens": 0, "max_label_drift": 0.5, "max_entities_not_kept": 0.01,
    "max_ratio_to_profile": 2, "max_change_without_entity": 0.25, "max_new_scripts": 0.05,
}  # fmt: skip
Rows = dict[str, list[dict[str, Any]]]


class Stage:
    """Runs validation on a corpus and keeps the paths that it writes."""

    def __init__(self, folder: Path, prepared: Path) -> None:
        self.prepared, self.validated, self.reports = prepared, folder / "validated.json", folder / "reports"

    def run(self, **limits: float) -> list[list[str]]:
        return validate(self.prepared, self.validated, self.reports, ValidationParams(**{**LIMITS, **limits}))

    def report(self) -> dict[str, Any]:
        return json.loads((self.reports / "validation.json").read_text(encoding="utf-8"))

    def broken(self) -> list[tuple[str, str]]:
        splits = self.report()["splits"].items()
        return [(s, e["name"]) for s, about in splits for t in about["tables"].values() for e in t if not e["passed"]]


@pytest.fixture(scope="session")
def good(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    stage = Stage(tmp_path_factory.mktemp("good"), prepared)
    stage.run()
    return stage


@pytest.fixture
def broken(prepared: Path, tmp_path: Path) -> Callable[..., Stage]:
    """A stage over a copy of the corpus whose rows were changed; the manifest's sha256 follows the new files."""

    def build(change: Callable[[Rows], None] = lambda rows: None, **manifest_changes: Any) -> Stage:
        folder = tmp_path / "prepared"
        shutil.copytree(prepared, folder)
        manifest = {**read_manifest(folder), **manifest_changes}
        tables = {split: pq.read_table(folder / about["parquet"]) for split, about in manifest["splits"].items()}
        rows = {split: table.to_pylist() for split, table in tables.items()}
        change(rows)
        for split, about in manifest["splits"].items():
            table = pa.Table.from_pylist(rows[split], schema=tables[split].schema)
            pq.write_table(table, folder / about["parquet"])
            about["sha256"] = sha256_file(folder / about["parquet"])
        (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        return Stage(tmp_path, folder)

    return build


def place(stage: Stage, split: str, sentence: int, token: int = 0) -> str:
    manifest = read_manifest(stage.prepared)
    about = manifest["splits"][split]
    line = pq.read_table(stage.prepared / about["parquet"])["line"][sentence].as_py()
    return f"{about['file']}, line {line + token}: {split} breaks"


def set_tag(split: str, sentence: int, token: int, tag_id: int) -> Callable[[Rows], None]:
    return lambda rows: rows[split][sentence]["ner_tags"].__setitem__(token, tag_id)


def set_token(split: str, sentence: int, token: int, text: str) -> Callable[[Rows], None]:
    return lambda rows: rows[split][sentence]["tokens"].__setitem__(token, text)


def test_a_good_corpus_passes_and_says_which_one_it_was(good: Stage):
    fingerprint = read_manifest(good.prepared)["fingerprint"]
    assert json.loads(good.validated.read_text()) == {"fingerprint": fingerprint, "passed": True}
    assert good.report()["passed"] and good.broken() == []
    assert set(good.report()["splits"]) == {"train", "validation", "test"}


def test_an_orphan_inside_tag_is_told_at_its_own_line(broken):
    stage = broken(set_tag("validation", 0, 2, 2))  # Jonas Wiebe left: O becomes I-LOC
    with pytest.raises(ValidationFailed, match=r"valid\.txt, line 5: .*found 'I-LOC after I-PER'") as failure:
        stage.run()
    assert str(stage.reports / "data_docs" / "index.html") in str(failure.value)
    assert stage.broken() == [("validation", "Tags are valid IOB2")]


def test_an_unknown_label_id_is_told_with_its_line(broken):
    stage = broken(set_tag("validation", 1, 0, 77))
    with pytest.raises(ValidationFailed, match=re.escape(place(stage, "validation", 1)) + ".*label set.*'#77'"):
        stage.run()
    assert not stage.validated.exists() and stage.report()["passed"] is False


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("", "No token is empty or blank"),
        ("\u00a0", "No token is empty or blank"),
        ("\u200b", "No token is empty or blank"),
        ("a\0b", "No token holds control characters"),
        ("x" * 101, "No token is too long"),
    ],
)
def test_a_bad_token_is_told_with_its_line(broken, text: str, name: str):
    stage = broken(set_token("train", 2, 1, text))
    with pytest.raises(ValidationFailed, match=re.escape(place(stage, "train", 2, 1) + f" '{name}'")):
        stage.run()
    assert stage.broken() == [("train", name)]
    assert "\0" not in (stage.reports / "data_docs" / "train.html").read_text(encoding="utf-8")


def test_a_sentence_longer_than_allowed_is_told_with_its_line(broken):
    stage = broken(lambda rows: rows["train"][3].update(tokens=["word"] * 600, ner_tags=[0] * 600))
    with pytest.raises(ValidationFailed, match=re.escape(place(stage, "train", 3)) + ".*1 to 512 tokens.*found '600'"):
        stage.run()


def test_tokens_and_tags_of_different_number_are_told(broken):
    stage = broken(lambda rows: rows["train"][0]["ner_tags"].append(0))
    with pytest.raises(ValidationFailed, match="as many tags as tokens"):
        stage.run()
    assert stage.broken() == [("train", "Every sentence has as many tags as tokens")]


def test_a_document_in_two_splits_is_told_with_both_places(broken):
    def copy_a_document(rows: Rows) -> None:
        last = rows["test"][-1]
        copies = [row for row in rows["train"] if row["document_id"] == 0]
        changes = {"document_id": last["document_id"] + 1, "line": 0}
        rows["test"] += [
            {**row, **changes, "sentence_id": last["sentence_id"] + 1 + row["sentence_id"]} for row in copies
        ]

    stage = broken(copy_a_document)
    with pytest.raises(
        ValidationFailed, match=r"test\.txt, document \d+, sentence \d+: .*found 'train\.txt, line \d+'"
    ):
        stage.run(max_shared_sentences=1.0, max_label_drift=1.0)
    assert stage.broken() == [("test", "No document occurs twice, here or in a split before")]


def test_a_document_in_two_pieces_or_a_sentence_id_twice_is_told(broken):
    stage = broken(lambda rows: rows["train"][-1].update(document_id=0, sentence_id=0))
    with pytest.raises(ValidationFailed):
        stage.run()
    names = {name for _, name in stage.broken()}
    assert names == {"Every sentence has its own id", "Documents are in one piece and in order"}


def test_counts_other_than_those_of_the_catalogue_are_told(broken, prepared: Path):
    splits = read_manifest(prepared)["splits"].items()
    counts = {s: {name: about[name] for name in ("documents", "sentences", "tokens")} for s, about in splits}
    tokens = counts["validation"]["tokens"]
    counts["validation"]["tokens"] += 1
    stage = broken(expected=counts)
    with pytest.raises(ValidationFailed, match=rf"valid\.txt: .*tokens.*\(expected {tokens + 1}; found {tokens}\)"):
        stage.run()
    assert stage.broken() == [("validation", "The number of tokens is that of the catalogue")]


def test_sentences_shared_over_the_limit_are_told(broken):
    def share(rows: Rows) -> None:
        long = [row for row in rows["train"] if len(row["tokens"]) >= 5]
        for row, source in zip(rows["test"], long[-3:], strict=False):
            row.update(tokens=source["tokens"], ner_tags=source["ner_tags"])

    stage = broken(share)
    with pytest.raises(
        ValidationFailed, match=r"train\.txt, line 99: .*also in test.*found 'test\.txt, line 3'; 3 of \d+ rows"
    ):
        stage.run(max_label_drift=1.0)
    assert ("test", "Few sentences are also in train") in stage.broken()


def test_label_drift_over_the_limit_is_told(good: Stage, tmp_path: Path):
    stage = Stage(tmp_path, good.prepared)
    with pytest.raises(ValidationFailed, match="Entity types are distributed as in training"):
        stage.run(max_label_drift=0.0)


def test_an_entity_type_that_a_split_lacks_is_told(broken):
    def without_type(rows: Rows) -> None:
        for row in rows["validation"]:
            row["ner_tags"] = [0] * len(row["ner_tags"])

    stage = broken(without_type)
    with pytest.raises(ValidationFailed):
        stage.run(max_label_drift=1.0)
    assert stage.broken() == [
        ("validation", "There are entities"),
        ("validation", "Every entity type of the corpus occurs"),
    ]


def test_a_parquet_file_other_than_the_manifests_is_told(broken):
    stage = broken()
    table = pq.read_table(stage.prepared / "test.parquet")
    pq.write_table(table.slice(0, len(table) - 1), stage.prepared / "test.parquet")
    with pytest.raises(ValidationFailed, match=r"test\.parquet: .*the one that ingestion wrote"):
        stage.run(max_label_drift=1.0)


def test_a_cut_parquet_file_is_an_error_that_says_how_to_make_it_again(broken):
    stage = broken()
    path = stage.prepared / "test.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(NerError, match=r"test\.parquet cannot be read.*dvc repro ingest"):
        stage.run()


def test_an_empty_split_is_told(broken):
    stage = broken(lambda rows: rows["test"].clear())
    with pytest.raises(ValidationFailed, match=r"test\.txt: .*found 0"):
        stage.run(max_label_drift=1.0)


def test_a_second_run_writes_the_same_bytes(good: Stage, tmp_path: Path):
    again = Stage(tmp_path, good.prepared)
    again.run()
    assert sha256_folder(again.reports) == sha256_folder(good.reports)


def test_another_threshold_changes_the_report_but_not_what_training_depends_on(good: Stage, tmp_path: Path):
    other = Stage(tmp_path, good.prepared)
    other.run(max_sentence_tokens=400)
    assert other.validated.read_bytes() == good.validated.read_bytes()
    assert other.report() != good.report()


def test_data_docs_name_no_other_host_and_link_every_split(good: Stage):
    pages = {path.name: path.read_text(encoding="utf-8") for path in (good.reports / "data_docs").iterdir()}
    assert set(pages) == {"index.html", "train.html", "validation.html", "test.html"}
    for page in pages.values():
        assert not re.search(r"https?://|<script|<link|src=|@import|url\(", page)
        assert {"index.html", "train.html", "validation.html", "test.html"} <= set(re.findall(r'href="([^"]+)"', page))
    assert "Tags are valid IOB2" in pages["test.html"]


def test_data_docs_escape_what_the_corpus_holds(broken):
    stage = broken(set_token("train", 2, 1, "<script>\x07$text"))
    with pytest.raises(ValidationFailed):
        stage.run()
    for path in (stage.reports / "data_docs").iterdir():
        assert "<script" not in path.read_text(encoding="utf-8")
    assert "&lt;script&gt;\\x07$text" in (stage.reports / "data_docs" / "train.html").read_text(encoding="utf-8")


def test_a_failure_removes_what_an_earlier_success_left(broken):
    stage = broken()
    stage.run()
    assert stage.validated.exists()
    with pytest.raises(ValidationFailed):
        stage.run(max_label_drift=0.0)
    assert not stage.validated.exists()


def test_the_report_is_the_same_whatever_is_in_memory_at_a_time(broken):
    """Every kind of fault, in sentences that come in other chunks; what is told is that of one whole table."""

    def spoil(rows: Rows) -> None:
        train = rows["train"]
        train[1].update(tokens=["\u200b", *train[1]["tokens"][1:]])
        train[-1]["ner_tags"][0] = 2  # an orphan
        train[-2].update(document_id=0, sentence_id=0)
        train[4]["ner_tags"].append(0)
        train[5]["ner_tags"][0] = 77
        for row, source in zip(rows["test"], [r for r in train if len(r["tokens"]) >= 5][:9:2], strict=False):
            row.update(tokens=source["tokens"], ner_tags=source["ner_tags"])

    stage = broken(spoil)
    scans = [read_scans(stage.prepared, read_manifest(stage.prepared), size) for size in (20_000, 5)]
    whole, parts = (examine(stage.prepared, ValidationParams(**LIMITS), scans=own).report for own in scans)
    assert whole == parts and not whole["passed"]


def test_an_expectation_that_raises_counts_as_broken_with_its_reason(good: Stage):
    manifest = read_manifest(good.prepared)
    tables = build_tables(read_scans(good.prepared, manifest), {})
    absent = gxe.ExpectColumnMaxToBeBetween(
        column="absent", max_value=1, description="The column is there", meta={"expected": "1 at most"}
    )
    results = {"train": run_suites(tables["train"].tables, {"split": [absent]})}
    (reduced,) = reduce_results(manifest, tables, results)["splits"]["train"]["tables"]["split"]
    assert reduced["passed"] is False and "absent" in reduced["reason"]


@pytest.mark.parametrize(
    ("ids", "fault"),
    [
        ([1, 2, 0], None),
        ([0, 2, 0], Fault(1, "I-LOC after O")),
        ([1, 4, 0], Fault(1, "I-Job Title after B-LOC")),
        ([4, 0, 0], Fault(0, "I-Job Title after the start of the sentence")),
        ([77, 0, 0], Fault(0, "tag '#77' is not IOB2: expected 'O', 'B-TYPE' or 'I-TYPE'")),
        ([3, 4, 4], None),
        ([3, 4, 3], None),
    ],
)
def test_the_first_tag_that_is_no_iob2_is_found(tmp_path, ids: list[int], fault: Fault | None):
    row = {"document_id": 0, "line": 1, "tokens": ["a"] * 3, "ner_tags": [0, 1, 2]}
    rows = [{**row, "sentence_id": number} for number in range(3)]
    rows[1]["ner_tags"] = ids
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "train.parquet")
    labels = ["O", "B-LOC", "I-LOC", "B-Job Title", "I-Job Title"]
    about = {"file": "train.txt", "parquet": "train.parquet"}
    scan = read_scans(tmp_path, {"splits": {"train": about}, "labels": labels})["train"]
    assert scan.faults == ({1: fault} if fault else {})


def test_a_token_that_stands_there_often_counts_as_often_and_is_told_once(broken):
    def spoil(rows: Rows) -> None:
        for row in rows["train"][:3]:
            row["tokens"][0] = "\u200b"

    stage = broken(spoil)
    with pytest.raises(ValidationFailed, match=r"No token is empty or blank.*3 of \d+ rows break it"):
        stage.run()
    stage.run(max_unreadable_tokens=0.5)


@pytest.mark.parametrize(
    ("token", "verdict"),
    [("a", True), ("…", True), ("", False), (" \t", False), ("\u200b\ufeff", False), ("\0", False)],
)
def test_visible_condition(token: str, verdict: bool):
    assert is_visible(token) is verdict


def test_the_stage_imports_no_library_that_it_does_not_use():
    """Each of these takes a part of a second or more."""
    heavy = {"torch", "transformers", "datasets", "altair", "narwhals", "rfc3987_syntax", "sqlalchemy", "boto3"}
    code = f"import sys, tasks.validate; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
