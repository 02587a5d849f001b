"""Several corpora as one, by the kind `join` of catalog.yaml."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from ner.data.fingerprint import SPLITS
from ner.data.prepared import read_manifest, read_split, to_tags
from ner.data.sources.catalog import read_catalog
from ner.data.sources.prepared_writer import ingest, summary
from ner.errors import CatalogError

FILES = {"train": "train.txt", "validation": "valid.txt", "test": "test.txt"}


@pytest.fixture
def root(tmp_path, monkeypatch, mini_folder) -> Path:
    """A repository with two sources: strict columns in local/mini, one file of JSON lines in Portuguese."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "local" / "mini").mkdir(parents=True)
    for name in FILES.values():
        (tmp_path / "local" / "mini" / name).write_bytes((mini_folder / name).read_bytes())
    rows = [
        {"tokens": ["Ato", str(i), "de", "Lisboa", "."], "tags": ["O", "O", "O", "U-local", "O"]} for i in range(40)
    ]
    (tmp_path / "local" / "atos.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def catalogue(root: Path, *parts: dict[str, Any], **more: Any) -> None:
    atos = {
        "kind": "files", "description": "d", "license": "CC-BY-4.0", "language": "pt", "folder": "local",
        "format": {"name": "tokens", "tokens_field": "tokens", "tags_field": "tags", "scheme": "BILOU"},
        "splits": {"all": {"path": "atos.jsonl"}},
    }  # fmt: skip
    both = {"kind": "join", "description": "two at once", "corpora": list(parts), **more}
    (root / "catalog.yaml").write_text(yaml.safe_dump({"corpora": {"atos": atos, "both": both}, "encoders": {}}))


def test_splits_are_joined_one_by_one_under_one_set_of_types(root, prepared):
    catalogue(
        root,
        {"corpus": "local/mini", "types": {"LOC": "place", "MISC": None}},
        {"corpus": "atos", "types": {"local": "place"}},
    )
    manifest = ingest("both", root / "prepared")
    mini, alone = read_manifest(prepared), ingest("atos", root / "alone")
    assert manifest["entity_types"] == ["ORG", "PER", "place"]
    for split in SPLITS:
        here = manifest["splits"][split]
        parts = [mini["splits"][split], alone["splits"][split]]
        for count in ("sentences", "tokens", "documents"):
            assert here[count] == sum(part[count] for part in parts)
        assert here["entities"]["place"] == parts[0]["entities"].get("LOC", 0) + parts[1]["entities"]["local"]
    rows = read_split(root / "prepared", "train")
    assert rows.document_ids == sorted(rows.document_ids)
    tags = to_tags(rows.tag_ids, manifest["labels"])
    assert rows.tokens[0][:2] == ["Marta", "Okafor"] and tags[0][:2] == ["B-PER", "I-PER"]
    assert rows.tokens[-1][3] == "Lisboa" and tags[-1][3] == "B-place"


def test_the_manifest_says_what_was_joined_and_accounts_for_each_part(root):
    catalogue(root, {"corpus": "local/mini", "types": {"PER": "PER"}, "other_types": "leave_out"}, {"corpus": "atos"})
    manifest = ingest("both", root / "prepared")
    assert (manifest["kind"], manifest["origin"]) == ("join", "local/mini + local")
    assert manifest["license"] == "unknown; CC-BY-4.0" and manifest["language"] == "xx"
    assert [part["source"] for part in manifest["corpora"]] == ["local/mini", "atos"]
    assert manifest["corpora"][1]["split"]["made"] == ["validation", "test"]
    assert set(manifest["reading"]) == {"local/mini/train", "local/mini/validation", "local/mini/test", "atos/all"}
    for account in manifest["reading"].values():
        assert account["entities_in"] == account["entities"] + sum(account["listed"].values())
    kept = sum(account["entities"] for account in manifest["reading"].values())
    assert kept == sum(sum(about["entities"].values()) for about in manifest["splits"].values())
    assert "not kept, left out by types" in summary(manifest)
    assert (root / "prepared" / "problems.csv").read_text().count("left out by types") == sum(
        account["listed"].get("left out by types", 0) for account in manifest["reading"].values()
    )


def test_a_label_subset_of_one_corpus_is_a_join_of_one(root, prepared):
    catalogue(root, {"corpus": "local/mini", "types": {"PER": "person"}, "other_types": "leave_out"})
    manifest = ingest("both", root / "prepared")
    assert manifest["entity_types"] == ["person"] and manifest["document_boundaries"]
    assert read_split(root / "prepared", "test").document_ids == read_split(prepared, "test").document_ids


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([{"corpus": "both"}], r"corpora\.both joins 'both', a join itself"),
        ([{"corpus": "atoss"}], r"catalog\.yaml, corpora\.both: 'atoss' is not in .*Did you mean 'atos'"),
        ([{"corpus": "atos", "types": {"LOC": "x"}}], r"atos, types: .* type 'LOC'; the types are local"),
        ([{"corpus": "atos"}, {"corpus": "atos"}], r"corpora\.both: a corpus is joined with itself"),
        ([], r"corpora\.both\.corpora is \[\]"),
    ],
)
def test_what_cannot_be_joined_is_named(root, parts, message):
    catalogue(root, *parts)
    with pytest.raises(CatalogError, match=message):
        read_catalog()
        ingest("both", root / "prepared")
