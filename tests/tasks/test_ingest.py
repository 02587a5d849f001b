import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from datasets import ClassLabel, Dataset, Features, List, Value

from ingestion import ingest_files
from ner.data.conll import Sentence
from ner.data.formats.columns import read_strict
from ner.data.formats.token_records import read_hub_form
from ner.data.prepared import labels, read_manifest, read_sentences, read_split, to_tags
from ner.data.sources.catalog import Catalog
from ner.data.sources.prepared_writer import schema_of, summary, to_table
from ner.errors import CorpusError, NerError, TagError
from waiting import PATIENCE_S

NAMES = {"train": "train.txt", "validation": "valid.txt", "test": "test.txt"}


@pytest.fixture
def files(mini_folder):
    return {split: mini_folder / name for split, name in NAMES.items()}


def mirror(files: dict[str, Path], folder: Path) -> dict[str, Path]:
    """The same corpus as the hub keeps it: parquet, other label order, no documents."""
    names = ["O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC", "B-MISC", "I-MISC"]
    paths = {}
    for split, path in files.items():
        sentences = list(read_strict(path))
        table = to_table(sentences, names).select(["tokens", "ner_tags"])
        paths[split] = folder / f"{split}-00000-of-00001.parquet"
        pq.write_table(table, paths[split])
    return paths


def test_the_schema_is_what_datasets_would_write():
    names = ["O", "B-人物", "I-人物"]
    integers = {name: Value("int32") for name in ("document_id", "sentence_id", "line")}
    features = Features(**integers, tokens=List(Value("string")), ner_tags=List(ClassLabel(names=names)))
    assert schema_of(names).equals(features.arrow_schema, check_metadata=True)


def test_datasets_loads_the_split_with_its_label_names(prepared):
    rows = Dataset.from_parquet(str(prepared / "train.parquet"))
    assert isinstance(rows.features["ner_tags"].feature, ClassLabel)
    assert rows.features["ner_tags"].feature.names == read_manifest(prepared)["labels"]
    assert rows[0]["tokens"][:2] == ["Marta", "Okafor"]
    assert rows.features["ner_tags"].feature.int2str(rows[0]["ner_tags"][:2]) == ["B-PER", "I-PER"]


def test_every_sentence_keeps_its_document_its_number_and_its_line(prepared, mini_folder):
    split = read_split(prepared, "train")
    assert split.sentence_ids == list(range(len(split.tokens)))
    assert sorted(set(split.document_ids)) == list(range(4))
    lines = (mini_folder / "train.txt").read_text().split("\n")
    assert all(
        lines[line - 1].startswith(tokens[0] + " ") for line, tokens in zip(split.lines, split.tokens, strict=True)
    )


def test_the_manifest_counts_what_is_there(prepared):
    manifest = read_manifest(prepared)
    split = read_split(prepared, "train")
    about = manifest["splits"]["train"]
    assert (about["sentences"], about["tokens"]) == (len(split.tokens), sum(map(len, split.tokens)))
    tags = to_tags(split.tag_ids, manifest["labels"])
    assert about["entities"] == {
        t: sum(tag == f"B-{t}" for row in tags for tag in row)
        for t in manifest["entity_types"]
        if about["entities"].get(t)
    }
    assert labels(read_sentences(prepared, "train")) == manifest["labels"]


def test_the_same_corpus_makes_the_same_bytes(files, prepared, tmp_path):
    ingest_files(files, tmp_path / "again", source="mini")
    assert {p.name: p.read_bytes() for p in (tmp_path / "again").iterdir()} == {
        p.name: p.read_bytes() for p in prepared.iterdir()
    }


def test_two_mirrors_of_one_corpus_have_one_fingerprint_and_one_list_of_labels(files, prepared, tmp_path):
    manifest = ingest_files(mirror(files, tmp_path), tmp_path / "mirror", source="mirror")
    original = read_manifest(prepared)
    assert manifest["fingerprint"] == original["fingerprint"]
    assert manifest["labels"] == original["labels"]
    assert read_split(tmp_path / "mirror", "test").tag_ids == read_split(prepared, "test").tag_ids
    changed = mirror(files, tmp_path)
    table = pq.read_table(changed["test"])
    pq.write_table(table.slice(1), changed["test"])
    assert ingest_files(changed, tmp_path / "less", source="mirror")["fingerprint"] != original["fingerprint"]


def test_without_boundaries_each_sentence_is_alone_unless_they_are_known_to_be_in_order(files, tmp_path):
    paths = mirror(files, tmp_path)
    alone = ingest_files(paths, tmp_path / "alone", source="mirror")
    assert read_split(tmp_path / "alone", "test").document_ids == list(range(alone["splits"]["test"]["sentences"]))
    about = {"description": "d", "license": "l", "url": "u", "language": "en", "kind": "hub", "id": "o/n"}
    splits = {split: {"path": path.name} for split, path in paths.items()}
    entry = {**about, "revision": "main", "document_boundaries": False, "in_order": True, "splits": splits}
    names = Catalog.model_validate({"corpora": {"m": entry}, "encoders": {}})
    manifest = ingest_files(paths, tmp_path / "order", source="m", entry=names.corpora["m"])
    assert set(read_split(tmp_path / "order", "test").document_ids) == {0}
    assert "neighbours may share a window" in summary(manifest)


def test_a_catalogue_that_promises_documents_is_held_to_it(files, tmp_path):
    (tmp_path / "test.txt").write_text("a O\n\n")
    about = {"description": "d", "license": "l", "url": "u", "language": "en", "kind": "files", "folder": "."}
    splits = {split: {"path": path.name} for split, path in files.items()}
    entry = {**about, "document_boundaries": True, "in_order": True, "splits": splits}
    names = Catalog.model_validate({"corpora": {"m": entry}, "encoders": {}})
    with pytest.raises(CorpusError, match="document_boundaries: true"):
        ingest_files({**files, "test": tmp_path / "test.txt"}, tmp_path / "o", source="m", entry=names.corpora["m"])


def test_a_broken_file_leaves_the_last_good_output_as_it_was(files, tmp_path):
    folder = tmp_path / "prepared"
    ingest_files(files, folder, source="mini")
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    broken = tmp_path / "test.txt"
    broken.write_bytes(files["test"].read_bytes().rstrip(b"\n"))
    with pytest.raises(CorpusError, match=r"test\.txt, line \d+: the file ends inside the line"):
        ingest_files({**files, "test": broken}, folder, source="mini")
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["prepared", "test.txt"]


def test_an_empty_split_is_an_error(files, tmp_path):
    (tmp_path / "test.txt").write_text("-DOCSTART- O\n\n")
    with pytest.raises(CorpusError, match=r"test\.txt holds no sentence"):
        ingest_files({**files, "test": tmp_path / "test.txt"}, tmp_path / "o", source="mini")


# ---- parquet of others


def write(path: Path, tokens: list[list[str]], tags: list[list], names: list[str] | None) -> Path:
    table = pa.table({"tokens": tokens, "ner_tags": tags})
    if names:
        features = {"ner_tags": {"feature": {"names": names, "_type": "ClassLabel"}, "_type": "Sequence"}}
        metadata = {"huggingface": json.dumps({"info": {"features": features}})}
        table = table.replace_schema_metadata(metadata)
    pq.write_table(table, path)
    return path


def read_parquet(path: Path, tokens: str = "tokens", labels: list[str] | None = None):
    return list(read_hub_form(path, tokens, "ner_tags", labels))


def test_tags_in_words_need_no_label_names(tmp_path):
    path = write(tmp_path / "a.parquet", [["Rotterdam"]], [["B-LOC"]], None)
    assert read_parquet(path) == [Sentence(0, ["Rotterdam"], ["B-LOC"], 0)]


@pytest.mark.parametrize(
    ("tokens", "tags", "names", "error", "message"),
    [
        (
            [["a"]],
            [[1]],
            None,
            CorpusError,
            r"row 1: the tags in 'ner_tags' are numbers \(1\): list what",
        ),
        ([["a"]], [[7]], ["O", "B-X"], TagError, r"row 1: tag 7 is no id of the 2 labels"),
        ([["a", "b"]], [[1]], ["O", "B-X"], CorpusError, r"row 1: 2 tokens in 'tokens', 1 tags"),
        ([["a"], ["b"]], [[0], [1]], ["O", "I-X"], TagError, r"row 2, token 1, token 'b': 'I-X' follows .*write 'B-X'"),
        ([["a"]], [[1]], ["O", "PER"], TagError, r"row 1, token 1, token 1: tag 'PER' is not IOB2"),
    ],
)
def test_parquet_that_cannot_be_trusted_is_named_with_its_row(tmp_path, tokens, tags, names, error, message):
    path = write(tmp_path / "a.parquet", tokens, tags, names)
    with pytest.raises(error, match=r"a\.parquet.*" + message):
        read_parquet(path)


def test_labels_of_the_catalogue_must_agree_with_those_of_the_file(tmp_path):
    path = write(tmp_path / "a.parquet", [["a"]], [[1]], ["O", "B-X"])
    with pytest.raises(CorpusError, match=r"says that its labels are"):
        read_parquet(path, labels=["O", "B-Y"])


def test_other_columns_and_broken_files_are_named(tmp_path):
    path = write(tmp_path / "a.parquet", [["a"]], [[0]], ["O"])
    with pytest.raises(CorpusError, match=r"row 1: no list in 'words' \(it has tokens, ner_tags\)"):
        read_parquet(path, "words")
    path.write_bytes(b"PAR1 nothing")
    with pytest.raises(CorpusError, match=r"a\.parquet is no readable parquet file"):
        read_parquet(path)


# ---- reading what was prepared


def test_missing_and_tampered_outputs_say_what_to_run(files, tmp_path):
    with pytest.raises(NerError, match=r"manifest\.json is missing: run `dvc repro ingest`"):
        read_split(tmp_path, "train")
    folder = tmp_path / "prepared"
    ingest_files(files, folder, source="mini")
    with pytest.raises(NerError, match="has no split 'dev'; it has train, validation, test"):
        read_split(folder, "dev")
    pq.write_table(pq.read_table(folder / "test.parquet").slice(1), folder / "test.parquet")
    with pytest.raises(NerError, match="another sha256"):
        read_split(folder, "test")
    (folder / "test.parquet").write_bytes(b"PAR1")
    with pytest.raises(NerError, match=r"test\.parquet cannot be read.*dvc repro ingest"):
        read_sentences(folder, "test")
    (folder / "test.parquet").unlink()
    with pytest.raises(NerError, match=r"test\.parquet is missing"):
        read_sentences(folder, "test")
    (folder / "manifest.json").write_text("{}")
    with pytest.raises(NerError, match="has no fingerprint, labels, source, splits"):
        read_manifest(folder)


# ---- the stage, as DVC runs it


def run(checkout: Path, source: str, **env: str) -> subprocess.CompletedProcess:
    params = yaml.safe_load((checkout / "params.yaml").read_text())
    params["data"]["source"] = source
    (checkout / "params.yaml").write_text(yaml.safe_dump(params))
    command = [sys.executable, "-m", "tasks.ingest"]
    return subprocess.run(
        command, cwd=checkout, env={**os.environ, **env}, capture_output=True, text=True, timeout=PATIENCE_S
    )


def test_the_stage_ingests_a_local_folder_and_prints_what_it_holds(checkout, mini_folder):
    local = checkout / "local" / "mine"
    local.mkdir(parents=True)
    for name, target in (("train.txt", "train.txt"), ("valid.txt", "dev.txt"), ("test.txt", "test.txt")):
        (local / target).write_bytes((mini_folder / name).read_bytes())
    done = run(checkout, "local/mine")
    assert done.returncode == 0, done.stderr
    manifest = read_manifest(checkout / "data" / "prepared")
    assert (manifest["kind"], manifest["origin"], manifest["document_boundaries"]) == ("local", "local/mine", True)
    assert manifest["splits"]["validation"]["file"] == "dev.txt"
    assert "sentences" in done.stdout
    assert sorted(p.name for p in (checkout / "data").iterdir()) == ["prepared"]


def test_the_stage_ingests_a_hub_corpus_and_records_its_commit(checkout, hub, files, tmp_path):
    paths = mirror(files, tmp_path)
    hub.add("datasets", "owner/mini", {f"data/{path.name}": path.read_bytes() for path in paths.values()})
    done = run(checkout, "owner/mini")
    assert done.returncode == 0, done.stderr
    manifest = read_manifest(checkout / "data" / "prepared")
    assert (manifest["kind"], manifest["origin"], manifest["revision"]) == ("hub", "owner/mini", "a" * 40)
    assert (manifest["document_boundaries"], manifest["in_order"]) == (False, False)
    assert "write @" + "a" * 40 in done.stdout


def test_a_failure_of_the_stage_is_one_line_and_leaves_nothing(checkout):
    done = run(checkout, "owner/mini", HF_ENDPOINT="http://127.0.0.1:9")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("ingest: http://127.0.0.1:9 cannot be reached")
    assert not list((checkout / "data").iterdir())
