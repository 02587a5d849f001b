"""Corpora in any format, from the file to data/prepared: in = kept + listed, and what was there before stays."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from ner.common import progress
from ner.data.formats import Document, Format, read
from ner.data.prepared import read_manifest, read_split, to_tags
from ner.data.sources.catalog import read_catalog
from ner.data.sources.corpora import sha256_of
from ner.data.sources.prepared_writer import ingest, summary
from ner.errors import CatalogError, CorpusError, SourceError
from written import write

NAMES = {"train": "train.txt", "validation": "valid.txt", "test": "test.txt"}
ABOUT = {"description": "d", "license": "l", "language": "en", "kind": "files"}


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """An empty repository: local/ and a catalogue without entries."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "local").mkdir()
    catalogue(tmp_path)
    return tmp_path


def catalogue(root: Path, **corpora: dict[str, Any]) -> None:
    (root / "catalog.yaml").write_text(yaml.safe_dump({"corpora": corpora, "encoders": {}}))


@pytest.fixture(scope="module")
def documents(mini_folder) -> dict[str, list[Document]]:
    form = Format("conll", scheme="IOB2", separator="space", columns=4, documents="-DOCSTART-")
    return {split: list(read(mini_folder / name, form)) for split, name in NAMES.items()}


def write_splits(folder: Path, documents: dict[str, list[Document]], name: str, suffix: str, **options: Any) -> Format:
    folder.mkdir(parents=True)
    forms = [write(folder / f"{split}{suffix}", group, name, **options) for split, group in documents.items()]
    return forms[0]


def problems(folder: Path) -> list[dict[str, str]]:
    with (folder / "problems.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def task(text: str, *spans: tuple[int, int, str]) -> str:
    return json.dumps({"text": text, "label": [list(span) for span in spans]}) + "\n"


def tasks(count: int) -> str:
    places = ("Oslo", "Lima", "Bonn", "Rome", "Kyiv", "Paris", "Accra", "Quito", "Minsk", "Dakar")
    numbered = ((f"Report {i} came out of {places[i % 10]} today .", places[i % 10]) for i in range(count))
    return "".join(task(text, (text.index(place), text.index(place) + len(place), "city")) for text, place in numbered)


# ---- local files and folders, recognised


@pytest.mark.parametrize(
    ("name", "suffix", "options"),
    [
        ("conll", ".conll", {"scheme": "IOB1"}),
        ("conll", ".bioes", {"scheme": "BIOES", "separator": "tab", "columns": 4}),
        ("conllu", ".conllu", {}),
        ("tokens", ".jsonl", {"scheme": "BILOU"}),
    ],
)
def test_a_folder_in_another_form_of_tokens_is_the_same_corpus(root, documents, prepared, name, suffix, options):
    write_splits(root / "local" / "mine", documents, name, suffix, **options)
    manifest = ingest("local/mine", root / "prepared")
    original = read_manifest(prepared)
    assert manifest["fingerprint"] == original["fingerprint"]
    assert manifest["labels"] == original["labels"]
    assert manifest["document_boundaries"] and manifest["format"]["name"] == name
    for split, about in original["splits"].items():
        assert read_split(root / "prepared", split).document_ids == read_split(prepared, split).document_ids
        account = manifest["reading"][split]
        assert account["entities_in"] == account["entities"] == sum(about["entities"].values())
    assert problems(root / "prepared") == []


@pytest.mark.parametrize(
    ("name", "suffix", "options"),
    [
        ("prodigy", ".jsonl", {}),
        ("doccano", ".jsonl", {}),
        ("label-studio", ".json", {}),
        ("brat", "", {}),
        ("docbin", ".spacy", {}),
    ],
)
def test_an_export_of_an_annotation_tool_keeps_or_lists_every_entity(root, documents, prepared, name, suffix, options):
    write_splits(root / "local" / "mine", documents, name, suffix, **options)
    manifest = ingest("local/mine", root / "prepared")
    listed = problems(root / "prepared")
    for split, about in read_manifest(prepared)["splits"].items():
        account = manifest["reading"][split]
        here = [row for row in listed if row["split"] == split and row["kind"] == "entity"]
        assert account["entities_in"] == sum(about["entities"].values())
        assert account["entities_in"] == account["entities"] + len(here)
        assert account["entities"] == sum(manifest["splits"][split]["entities"].values())
        assert manifest["splits"][split]["documents"] == about["documents"]


def test_strict_columns_in_a_local_folder_are_read_as_ever(root, mini_folder, prepared):
    (root / "local" / "mine").mkdir()
    for name in NAMES.values():
        (root / "local" / "mine" / name).write_bytes((mini_folder / name).read_bytes())
    manifest = ingest("local/mine", root / "prepared")
    assert not {"format", "reading", "split"} & set(manifest)
    assert sorted(p.name for p in (root / "prepared").iterdir()) == sorted(p.name for p in prepared.iterdir())
    assert {s: a["sha256"] for s, a in manifest["splits"].items()} == {
        s: a["sha256"] for s, a in read_manifest(prepared)["splits"].items()
    }


def test_one_file_is_divided_and_what_was_not_kept_is_listed_with_its_text(root):
    (root / "local" / "export.jsonl").write_text(
        tasks(40) + task("Somebody wrote Amsterdams today .", (15, 25, "city"), (15, 22, "city"), (3, 900, "city"))
    )
    manifest = ingest("local/export.jsonl", root / "prepared")
    account = manifest["reading"]["all"]
    assert (account["entities_in"], account["entities"]) == (43, 41)
    assert account["listed"] == {"inside a token": 1, "out of range": 1}
    assert manifest["split"] == {
        "validation": 0.1, "test": 0.1, "seed": 42, "made": ["validation", "test"], "by": "document"
    }  # fmt: skip
    assert sum(a["documents"] for a in manifest["splits"].values()) == 41
    rows = problems(root / "prepared")
    assert {(row["split"], row["kind"], row["place"], row["type"]) for row in rows} == {
        ("all", "entity", "line 41", "city")
    }
    assert "Amsterd" in [row["text"] for row in rows]
    assert "all: 41 documents in = 41 kept + 0 listed; 43 entities in = 41 kept + 2 listed" in summary(manifest)


def test_files_that_tell_no_split_beside_others_that_do_are_not_guessed_about(root):
    folder = root / "local" / "mine"
    folder.mkdir()
    for name in ("train", "test", "round-two"):
        (folder / f"{name}.jsonl").write_text(tasks(20))
    with pytest.raises(SourceError, match=r"round-two\.jsonl: the name tells no split.*add an entry of kind `files`"):
        ingest("local/mine", root / "prepared")


def test_files_that_were_left_out_are_in_the_manifest_with_the_reason(root):
    folder = root / "local" / "mine"
    folder.mkdir()
    (folder / "all.jsonl").write_text(tasks(20))
    (folder / "README.md").write_text("From the second round.\n")
    manifest = ingest("local/mine", root / "prepared")
    assert manifest["left_out_files"] == {"README.md": "its name says that it holds no annotated text"}


def test_a_folder_of_brat_is_a_path_of_the_catalogue_with_one_checksum_for_all(root, documents):
    form = write_splits(root / "local" / "mine", documents, "brat", "")
    entry = {**ABOUT, "folder": "local/mine", "format": form.settings()}
    paths = sorted((root / "local" / "mine" / "train").glob("*.ann"))
    splits = {split: {"path": split} for split in documents}
    splits["train"]["sha256"] = sha256_of(paths)
    catalogue(root, mine={**entry, "splits": splits})
    assert ingest("mine", root / "prepared")["splits"]["train"]["documents"] == len(documents["train"])
    paths[0].with_suffix(".txt").write_text("other text")
    with pytest.raises(SourceError, match="train"):
        ingest("mine", root / "prepared")


def test_a_broken_file_under_the_usual_names_is_told_by_line_and_nothing_is_left(root, mini_folder):
    folder = root / "local" / "mine"
    folder.mkdir()
    for name in NAMES.values():
        (folder / name).write_bytes((mini_folder / name).read_bytes())
    (folder / "test.txt").write_bytes(b"Oslo B-LOC\n\nOslo\n\n")
    with pytest.raises(CorpusError, match=r"test\.txt, line 3: 1 columns"):
        ingest("local/mine", root / "prepared")
    assert sorted(p.name for p in root.iterdir()) == ["catalog.yaml", "local"]


# ---- entries of the catalogue with a format


def test_an_entry_names_its_format_its_files_and_what_is_carried_along(root):
    folder = root / "local" / "mine"
    (folder / "more").mkdir(parents=True)
    (folder / "a.jsonl").write_text(tasks(30))
    (folder / "more" / "b.jsonl").write_text(tasks(50).split("\n", 30)[30])
    (folder / "new.jsonl").write_text("".join(json.dumps({"text": f"Text {i} of Oslo ."}) + "\n" for i in range(3)))
    form = {"name": "doccano", "text_field": "text", "spans_field": "label", "documents": "records"}
    entry = {
        **ABOUT,
        "language": "pt",
        "folder": "local/mine",
        "format": form,
        "unlabelled_format": {"name": "texts", "text_field": "text", "documents": "records"},
        "split": {"validation": 0.2, "test": 0.1, "seed": 1},
        "splits": {
            "all": [{"path": "a.jsonl", "sha256": sha256_of([folder / "a.jsonl"])}, {"path": "more"}],
            "unlabelled": {"path": "new.*"},
        },
    }
    catalogue(root, mine=entry)
    manifest = ingest("mine", root / "prepared")
    assert [a["documents"] for a in manifest["splits"].values()] == [35, 10, 5]
    assert manifest["format"] == {**form, "language": "pt"}  # that of the entry: prediction's tokenizer is the same
    assert manifest["splits"]["test"]["file"] == "a.jsonl, b.jsonl"
    assert (manifest["unlabelled"]["documents"], manifest["unlabelled"]["parquet"]) == (3, "unlabelled.parquet")
    unlabelled = read_split(root / "prepared", "unlabelled")
    assert unlabelled.document_ids == [0, 1, 2]
    assert {tag for row in to_tags(unlabelled.tag_ids, manifest["labels"]) for tag in row} == {"O"}
    assert "unlabelled: 3 documents" in summary(manifest)


def test_text_that_nobody_annotated_is_not_taken_for_training(root):
    (root / "local" / "t.jsonl").write_text("".join(json.dumps({"text": f"Text {i} ."}) + "\n" for i in range(30)))
    with pytest.raises(CorpusError, match=r"t\.jsonl \(.*\) holds texts that nobody annotated: name the field"):
        ingest("local/t.jsonl", root / "prepared")


def test_types_get_new_names_and_those_left_out_are_counted_and_listed(root, documents, prepared):
    form = write_splits(root / "local" / "mine", documents, "tokens", ".jsonl")
    splits = {split: {"path": f"{split}.jsonl"} for split in NAMES}
    entry = {**ABOUT, "folder": "local/mine", "format": form.settings(), "splits": splits}
    catalogue(root, mine={**entry, "types": {"PER": "person", "ORG": "group", "LOC": "group", "MISC": None}})
    manifest = ingest("mine", root / "prepared")
    before = read_manifest(prepared)["splits"]["train"]["entities"]
    assert manifest["entity_types"] == ["group", "person"]
    assert manifest["splits"]["train"]["entities"] == {"group": before["LOC"] + before["ORG"], "person": before["PER"]}
    account = manifest["reading"]["train"]
    assert account["listed"] == {"left out by types": before["MISC"]}
    assert account["entities_in"] == account["entities"] + before["MISC"]
    rows = [row for row in problems(root / "prepared") if row["split"] == "train"]
    assert len(rows) == before["MISC"] and {row["type"] for row in rows} == {"MISC"}
    assert all(row["text"] and row["document"] and row["file"] == "train.jsonl" for row in rows)
    catalogue(root, mine={**entry, "types": {"PER": "PER"}, "other_types": "leave_out"})
    assert ingest("mine", root / "prepared")["entity_types"] == ["PER"]
    catalogue(root, mine={**entry, "types": {"PERSON": "person"}})
    with pytest.raises(CatalogError, match=r"mine, types: .* type 'PERSON'; the types are LOC, MISC, ORG, PER"):
        ingest("mine", root / "prepared")


def test_files_that_are_divided_are_held_to_what_the_catalogue_expects(root):
    (root / "local" / "a.jsonl").write_text(tasks(30))
    form = {"name": "doccano", "text_field": "text", "spans_field": "label", "documents": "records"}
    entry = {**ABOUT, "folder": "local", "format": form}
    catalogue(root, m={**entry, "splits": {"all": {"path": "a.jsonl", "expected": {"sentences": 31, "tokens": 210}}}})
    with pytest.raises(CorpusError, match=r"all: 30 sentences, catalog\.yaml expects 31"):
        ingest("m", root / "prepared")
    catalogue(root, m={**entry, "splits": {"all": {"path": "a.jsonl", "sha256": "0" * 64}}})
    with pytest.raises(SourceError, match=r"a\.jsonl"):
        ingest("m", root / "prepared")
    catalogue(root, m={**entry, "splits": {"all": {"path": "b*.jsonl"}}})
    with pytest.raises(SourceError, match=r"local has no file b\*\.jsonl"):
        ingest("m", root / "prepared")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"splits": {"test": {"path": "a"}}}, r"name `train`, or `all`"),
        ({"splits": {"all": {"path": "a"}, "test": {"path": "a"}}}, r"stands beside none but `unlabelled`"),
        ({"splits": {"all": []}}, r"corpora\.m\.splits\.all is \[\]"),
        (
            {"splits": {"all": [{"path": "../a"}]}},
            r"corpora\.m\.splits\.all\.0\.path is '\.\./a', need a relative path",
        ),
        ({"split": {"validation": 0.0}}, r"corpora\.m\.split\.validation is 0\.0, need greater than 0"),
        ({"split": {"validation": 0.6, "test": 0.5}}, r"leave nothing to train on"),
        ({"format": {"name": "docano"}}, r"corpora\.m\.format: name is 'docano', need one of conll, "),
        ({"format": {"name": "conll", "separater": "tab"}}, r"unknown key 'separater' \(did you mean 'separator'"),
        ({"format": {"name": "conll", "separator": "stop"}}, r"corpora\.m\.format: separator: got 'stop', need one of"),
        ({"format": None}, r"corpora\.m: the key 'document_boundaries' is missing"),
        ({"types": {"A": None}, "other_types": "leave_out"}, r"leaves no entity; name in `types` what is kept"),
    ],
)
def test_what_is_wrong_with_an_entry_is_said_before_anything_is_read(root, change, message):
    entry = {**ABOUT, "folder": "local", "format": {"name": "conll"}, "splits": {"all": {"path": "a"}}, **change}
    catalogue(root, m=entry)
    with pytest.raises(CatalogError, match=message):
        read_catalog()


# ---- the hub


def parquet(folder: Path, columns: dict[str, list[Any]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), folder / "x.parquet")
    return (folder / "x.parquet").read_bytes()


def test_a_hub_data_set_with_columns_of_other_names_and_one_split_is_read_and_divided(root, hub, tmp_path):
    words = [["Report", str(i), "from", "New", "Oslo"] for i in range(30)]
    content = parquet(tmp_path, {"words": words, "labels": [["O", "O", "O", "B-city", "E-city"]] * 30})
    hub.add("datasets", "owner/odd", {"data/train-00000-of-00001.parquet": content, "README.md": b"# odd"})
    manifest = ingest("owner/odd", root / "prepared")
    assert (manifest["kind"], manifest["revision"]) == ("hub", "a" * 40)
    assert (manifest["format"]["tokens_field"], manifest["format"]["tags_field"]) == ("words", "labels")
    assert manifest["format"]["scheme"] == "BIOES" and manifest["split"]["by"] == "sentence"
    assert [a["entities"]["city"] for a in manifest["splits"].values()] == [24, 3, 3]


def test_a_hub_data_set_that_is_no_parquet_is_recognised_too(root, hub):
    lines = [json.dumps({"tokens": ["Report", str(i), "Oslo"], "tags": ["O", "O", "B-city"]}) for i in range(12)]
    for_split = {"train": lines[:8], "dev": lines[8:10], "test": lines[10:]}
    hub.add("datasets", "owner/jsonl", {f"{s}.jsonl": ("\n".join(group)).encode() for s, group in for_split.items()})
    manifest = ingest("owner/jsonl", root / "prepared")
    assert {split: about["sentences"] for split, about in manifest["splits"].items()} == {
        "train": 8, "validation": 2, "test": 2,
    }  # fmt: skip


def test_a_hub_entry_with_a_format_names_its_fields_and_its_documents(root, hub, tmp_path):
    columns = {"id": [f"d{i // 2}" for i in range(40)], "words": [["Report", str(i), "Oslo"] for i in range(40)]}
    content = parquet(tmp_path, {**columns, "tags": [[0, 0, 1]] * 40})
    hub.add("datasets", "owner/named", {"data/part-0.parquet": content})
    fields = {"tokens_field": "words", "tags_field": "tags", "document_field": "id", "documents": "id"}
    form = {"name": "tokens", **fields, "labels": ["O", "B-city"]}
    about = {**ABOUT, "kind": "hub", "id": "owner/named", "revision": "main", "format": form}
    catalogue(root, named={**about, "splits": {"all": {"path": "data/*.parquet"}}})
    manifest = ingest("named", root / "prepared")
    assert manifest["document_boundaries"] and manifest["entity_types"] == ["city"]
    assert [(a["documents"], a["sentences"]) for a in manifest["splits"].values()] == [(16, 32), (2, 4), (2, 4)]


# ---- long reading


def test_progress_is_a_line_now_and_then_and_none_for_what_is_quick(capsys, monkeypatch):
    progress.on_progress("reading all")(1, 2)
    assert list(progress.watched("ab", "looking")) == ["a", "b"] and capsys.readouterr().err == ""
    monkeypatch.setattr(progress, "PATIENCE_S", 0)
    monkeypatch.setattr(progress, "SELDOM_S", 0)
    advance = progress.on_progress("reading all")
    advance(0, 2_000_000_000)
    advance(500_000_000, 2_000_000_000)
    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith("reading all:  25%|") and "500M/2.00G" in said[-1]
