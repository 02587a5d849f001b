"""The profile of a first delivery, and what it makes validation expect of the next ones."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ner.common.files import sha256_file, write_json
from ner.data.prepared import read_manifest
from ner.data.validation.losses import read_losses
from ner.data.validation.profile import differences, prepared_profile, profile_of, profile_path, read_profile, spread
from ner.data.validation.run import validate
from ner.data.validation.scan import read_scans, scripts_of
from ner.errors import NerError, ValidationFailed
from ner.params import ValidationParams

ROOT = Path(__file__).resolve().parents[4]
LIMITS = {
    "max_sentence_tokens": 512, "max_token_chars": 100, "max_unreadable_tokens": 0, "max_shared_sentences": 1.0,
    "max_copied_documents": 0, "max_label_drift": 0.5, "max_entities_not_kept": 0.05,
    "max_ratio_to_profile": 2, "max_change_without_entity": 0.25, "max_new_scripts": 0.05,
}  # fmt: skip


@pytest.fixture
def delivery(prepared, tmp_path):
    """The stage over a copy of the small corpus whose rows may be changed, with the profile of the original."""
    profiles, folder = tmp_path / "profiles", tmp_path / "prepared"
    write_json(profile_path("mini", profiles), prepared_profile(prepared))

    def run(change=lambda rows: None, reading=None, problems="", **limits):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(prepared, folder)
        manifest = read_manifest(folder)
        for split, about in manifest["splits"].items():
            table = pq.read_table(folder / about["parquet"])
            rows = table.to_pylist()
            change(split, rows) if change.__code__.co_argcount == 2 else change(rows)
            pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), folder / about["parquet"])
            about["sha256"] = sha256_file(folder / about["parquet"])
        if reading:
            manifest["reading"] = reading
            (folder / "problems.csv").write_text("split,kind,file,place,document,text,type,reason\n" + problems)
        write_json(folder / "manifest.json", manifest)
        params = ValidationParams(**{**LIMITS, **limits})
        validate(folder, tmp_path / "validated.json", tmp_path / "reports", params, profiles)
        return json.loads((tmp_path / "reports" / "validation.json").read_text())

    return run


def profiled(folder: Path, documents: list[list[tuple[list[str], list[str]]]], boundaries: bool = True) -> dict:
    """The profile of documents, each a list of sentences."""
    labels = ["O", *sorted({tag for document in documents for _, tags in document for tag in tags} - {"O"})]
    rows = [
        {"document_id": d, "sentence_id": s, "line": 0, "tokens": tokens, "ner_tags": [labels.index(t) for t in tags]}
        for d, document in enumerate(documents)
        for s, (tokens, tags) in enumerate(document)
    ]
    lists = {"tokens": pa.list_(pa.string()), "ner_tags": pa.list_(pa.int32())}
    names = ("document_id", "sentence_id", "line", "tokens", "ner_tags")
    schema = pa.schema([(name, lists.get(name, pa.int32())) for name in names])
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / "train.parquet")
    splits = {"train": {"file": "train.txt", "parquet": "train.parquet"}}
    manifest = {"source": "x", "document_boundaries": boundaries, "labels": labels, "splits": splits}
    return profile_of(manifest, read_scans(folder, manifest))


def test_a_profile_counts_types_lengths_scripts_and_what_is_without_entities(tmp_path):
    documents = [
        [(["Ana", "в", "Осло"], ["B-人物", "O", "B-B-x"]), (["so"], ["O"])],
        [(["no", "one"], ["O", "O"])],
    ]
    profile = profiled(tmp_path, documents)
    assert profile["types"] == {"B-x": {"entities": 1, "share": 0.5}, "人物": {"entities": 1, "share": 0.5}}
    assert (profile["documents"], profile["sentences"], profile["tokens"]) == (2, 3, 6)
    assert profile["tokens_a_sentence"] == {"mean": 2.0, "half": 2, "most": 3, "greatest": 3}
    assert profile["sentences_without_entity"] == pytest.approx(2 / 3, abs=1e-6)
    assert profile["documents_without_entity"] == 0.5
    assert set(profile["scripts"]) == {"LATIN", "CYRILLIC"}


def test_an_empty_corpus_has_a_profile_too(tmp_path):
    profile = profiled(tmp_path, [], boundaries=False)
    assert profile["entities"] == 0 and profile["documents_without_entity"] is None
    assert spread(Counter()) == {"mean": 0.0, "greatest": 0}


def test_scripts_are_those_of_letters_alone():
    assert scripts_of("A1-人é\u0301") == ("LATIN", "CJK", "LATIN")


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("local/my corpus", "local-my-corpus"),
        ("owner/name@rev", "owner-name-rev"),
        ("../..", "corpus"),
        ("東京", "東京"),
    ],
)
def test_a_profile_lies_under_the_name_of_its_source(source, name):
    assert profile_path(source, Path("p")) == Path("p") / f"{name}.json"


def test_a_file_that_is_no_profile_or_anothers_says_so(tmp_path):
    assert read_profile("x", tmp_path) is None
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(NerError, match=r"x\.json is no JSON"):
        read_profile("x", tmp_path)
    (tmp_path / "x.json").write_text('{"source": "x"}')
    with pytest.raises(NerError, match="has no .*tokens"):
        read_profile("x", tmp_path)
    write_json(profile_path("a/b", tmp_path), {**profiled(tmp_path, []), "source": "a/b"})
    with pytest.raises(NerError, match="is the profile of 'a/b', not of 'a-b'"):
        read_profile("a-b", tmp_path)


def test_the_same_delivery_passes_and_no_difference_is_told(delivery, prepared):
    report = delivery()
    assert report["passed"]
    names = [one["name"] for one in report["splits"]["train"]["tables"]["split"]]
    assert "Entity types are distributed as in the profile" in names
    assert list(differences(prepared_profile(prepared), prepared_profile(prepared))) == []


def test_a_profile_of_types_that_are_too_rare_for_a_split_demands_none_of_them(delivery, tmp_path):
    path = profile_path("mini", tmp_path / "profiles")
    profile = json.loads(path.read_text())
    profile["types"]["RARE"] = {"entities": 1, "share": 0.001}
    write_json(path, profile)
    assert delivery()["passed"]
    profile["types"]["OFTEN"] = {"entities": 50, "share": 0.4}
    write_json(path, profile)
    with pytest.raises(ValidationFailed, match="Every entity type of the corpus occurs.*1 of them missing: B-OFTEN"):
        delivery(max_label_drift=1.0)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda rows: [row.update(ner_tags=[0] * len(row["tokens"])) for row in rows[4:]], "There are about as many"),
        (lambda rows: rows[0].update(tokens=["w"] * 300, ner_tags=[0] * 300), "No sentence is far longer than"),
        (
            lambda rows: [r.update(tokens=["Осло" for _ in r["tokens"]]) for r in rows[:20]],
            "Letters are of the scripts",
        ),
    ],
)
def test_a_delivery_unlike_the_first_is_told(delivery, tmp_path, change, name):
    with pytest.raises(ValidationFailed):
        delivery(change, max_label_drift=1.0)
    report = json.loads((tmp_path / "reports" / "validation.json").read_text())
    tables = [table for about in report["splits"].values() for table in about["tables"].values()]
    assert any(one["name"].startswith(name) for table in tables for one in table if not one["passed"])


def test_entities_that_reading_lost_are_counted_and_told_with_their_places(delivery):
    reading = {"all": {"entities_in": 40, "entities": 38, "documents_in": 9, "documents": 9}}
    lost = "".join(f"all,entity,e.jsonl,line {i},d,x,PER,inside a token: begins in 'xy'\n" for i in (3, 4))
    assert delivery(reading=reading, problems=lost)["passed"]
    with pytest.raises(
        ValidationFailed, match=r"e\.jsonl, line 3: train breaks 'Few annotated.*begins in.*2 of 40 rows"
    ):
        delivery(reading=reading, problems=lost, max_entities_not_kept=0.04)


def test_what_the_catalogue_leaves_out_is_no_loss_and_repairs_are_none(delivery):
    reading = {"a/train": {"entities_in": 4, "entities": 2}, "unlabelled": {"entities_in": 0, "entities": 0}}
    rows = "a/train,entity,t.txt,line 1,d,x,PER,left out by types\n" * 2 + "a/train,repaired,t.txt,line 1,d,x,PER,y\n"
    assert delivery(reading=reading, problems=rows, max_entities_not_kept=0.0)["passed"]


def test_a_list_that_does_not_add_up_is_an_error(tmp_path):
    (tmp_path / "problems.csv").write_text("split,kind,file,place,document,text,type,reason\n")
    manifest = {"splits": {"train": {}}, "reading": {"train": {"entities_in": 3, "entities": 2}}}
    with pytest.raises(NerError, match=r"lists 0 entities of train, the manifest says 1: run `dvc repro ingest`"):
        read_losses(tmp_path, manifest)
