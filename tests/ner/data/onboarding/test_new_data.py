"""From a file to an entry, a profile and parameters with which ingest and validate pass: `make new-data`."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ner.common.yaml_edit import YamlFile, put, quoted
from ner.data.formats import Format, Recognised, recognise
from ner.data.onboarding.catalog_entry import new_entry
from ner.data.onboarding.language import guess_language
from ner.data.onboarding.new_data import main
from ner.data.sources.catalog import read_catalog
from ner.data.sources.prepared_writer import ingest
from ner.data.validation.profile import profile_path, read_profile
from ner.data.validation.run import validate
from ner.data.validation.scan import read_scans
from ner.errors import CatalogError, CorpusError, ParamsError, SourceError
from ner.params import parse_params
from typed import call

ROOT = Path(__file__).resolve().parents[4]
NAMES = ["Ana", "Bruno", "Carla", "Diego", "Elena", "Fabio", "Gina", "Hugo", "Ines", "Joao"]
PLACES = ["Recife", "Lima", "Porto", "Faro", "Braga"]
HEAVY = ("great_expectations", "torch", "transformers", "datasets", "sklearn", "mlflow", "scipy.stats")


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """A checkout, as far as new-data knows one, to which the process has gone."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in ("catalog.yaml", "params.yaml"):
        shutil.copy(ROOT / "tests" / "data" / name, folder)
    monkeypatch.chdir(folder)
    return folder


def write_export(
    path: Path, count: int = 60, types: tuple[str, str] = ("人物", "Straße/Ort"), spoil: bool = False
) -> None:
    """Prodigy's form: a person and a place in each text; spoil: half a word is annotated in every tenth."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = []
    for i in range(count):
        name, place = f"{NAMES[i % 10]} Mendes{i}", PLACES[i % 5]
        text = f"{name} não foi para {place} com os outros do grupo {i * 7}."
        start = text.index(place)
        spans = [
            {"start": 0, "end": len(name) - (2 if spoil and i % 10 == 0 else 0), "label": types[0]},
            {"start": start, "end": start + len(place), "label": types[1]},
        ]
        rows.append(json.dumps({"text": text, "spans": spans, "answer": "accept"}, ensure_ascii=False))
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


def run_stages(root: Path) -> list[list[str]]:
    """What `make train` does first, with the files as they are."""
    params = parse_params((root / "params.yaml").read_text(encoding="utf-8"))
    ingest(params.data.source, root / "data" / "prepared")
    return validate(
        root / "data" / "prepared", root / "validated.json", root / "reports", params.validation, root / "profiles"
    )


def test_an_export_in_a_folder_outside_needs_no_further_edit(root, tmp_path, capsys):
    write_export(tmp_path / "exports" / "Meus Dados.jsonl")
    call(main, str(tmp_path / "exports" / "Meus Dados.jsonl"))
    said = capsys.readouterr().out
    assert "format: prodigy" in said and "language: pt" in said and "make train" in said
    assert "outside the repository" in said
    assert re.search(r"人物 +\d+ +\d+ +\d+ +60 +50\.0%", said)
    assert "all: 60 documents in = 60 kept + 0 listed; 120 entities in = 120 kept + 0 listed" in said
    entry = read_catalog().corpora["meus-dados"]
    assert entry.folder == str(tmp_path / "exports") and entry.language == "pt" and entry.files()["all"][0].sha256
    assert len(run_stages(root)) == 3
    assert set(read_profile("meus-dados")["types"]) == {"人物", "Straße/Ort"}


def test_comments_and_other_entries_stay_and_only_lines_that_must_change_do(root, tmp_path, capsys):
    before = {name: (root / name).read_text(encoding="utf-8").splitlines() for name in ("catalog.yaml", "params.yaml")}
    write_export(root / "local" / "mine" / "export.jsonl")
    call(main, "local/mine", "--name", "mine")
    after = {name: (root / name).read_text(encoding="utf-8").splitlines() for name in before}
    assert set(before["catalog.yaml"]) <= set(after["catalog.yaml"])
    changed = [line for line in after["params.yaml"] if line not in before["params.yaml"]]
    assert changed[0].startswith("  source: mine") and "a name in catalog.yaml" in changed[0]
    assert [line.split("#")[0].strip() for line in changed[1:]] == ["folds: 5"]
    assert len(before["params.yaml"]) == len(after["params.yaml"])
    lines = after["catalog.yaml"]
    start, end = lines.index("  mine:"), lines.index("encoders:")
    assert (lines[start - 1], lines[end - 1]) == ("", "") and len(lines) == len(before["catalog.yaml"]) + end - start
    assert read_catalog().corpora["mine"].folder == "local/mine"
    said = capsys.readouterr().out
    assert "outside the repository" not in said
    assert "split.folds: 5: validation has 12 entities, under 250" in said and "takes 6 trainings" in said
    assert re.search(r"gate\.min_f1 0\.93: .* on 108 entities of cross-validation", said)


def test_a_dry_run_changes_nothing(root, capsys):
    write_export(root / "local" / "export.jsonl")
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    call(main, "local/export.jsonl", "--dry-run")
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before
    said = capsys.readouterr().out
    assert "+  source: export" in said and "nothing is written" in said


@pytest.mark.parametrize("suffix", ["jsonl", "conll"])
def test_a_dry_run_of_sound_data_imports_no_heavy_library(root, suffix):
    """Each of them takes seconds; the answer is there before one is needed."""
    write_export(root / "local" / "export.jsonl")
    rows = "".join(f"Ada{i} B-PER\nmet{i} O\nBo{i} B-PER\n\n" for i in range(90))
    (root / "local" / "export.conll").write_text(rows, encoding="utf-8")
    command = f"""if True:
        import sys
        from pathlib import Path
        from ner.data.onboarding.new_data import Options, new_data
        new_data(Path("local/export.{suffix}"), Options(dry_run=True))
        print("heavy:", [n for n in {HEAVY} if n in sys.modules])"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", command], env=environment, capture_output=True, text=True, check=True)
    assert "nothing that was measured breaks a limit" in done.stdout and "heavy: []" in done.stdout


def test_a_dry_run_says_what_would_stop_the_run(root, capsys):
    write_export(root / "local" / "export.jsonl", spoil=True)
    call(main, "local/export.jsonl", "--dry-run")
    said = capsys.readouterr().out
    assert "finding: validation.max_entities_not_kept" in said and "Few annotated entities are lost in reading" in said


def test_given_splits_are_kept_and_floors_of_types_that_are_not_there_go(root, mini_folder, capsys):
    file = YamlFile(root / "params.yaml")
    file.tree["gate"]["min_f1_per_type"] = {"PER": 0.9, "DISEASE": 0.5}
    file.write()
    call(main, str(mini_folder), "--name", "mini")
    params = parse_params((root / "params.yaml").read_text(encoding="utf-8"))
    assert params.gate.min_f1_per_type == {"PER": 0.9}
    assert set(read_catalog().corpora["mini"].splits) == {"train", "validation", "test"}
    assert "the data has no DISEASE" in capsys.readouterr().out
    assert len(run_stages(root)) == 3


def test_limits_that_the_data_breaks_are_raised_and_told_with_the_place(root, capsys):
    lines = [f"word{i}\tO\nAda{i}\tB-PER\n{'x' * 120 if i == 7 else 'y'}\tO\n" for i in range(400)]
    lines[3] += "\x91q\tO\n"
    (root / "local").mkdir()
    (root / "local" / "all.conll").write_text("\n".join(lines), encoding="utf-8")
    call(main, "local/all.conll")
    said = capsys.readouterr().out
    assert re.search(r"validation\.max_token_chars: 120: all\.conll, line \d+: 120", said)
    assert re.search(r"validation\.max_unreadable_tokens: 0\.\d+: 1 tokens .*all\.conll, line 16: '\\x91q'", said)
    assert len(run_stages(root)) == 3


def test_lost_entities_are_listed_and_stop_the_run_until_somebody_accepts_them(root, capsys):
    write_export(root / "local" / "export.jsonl", spoil=True)
    call(main, "local/export.jsonl")
    said = capsys.readouterr().out
    assert "120 entities in = 114 kept + 6 listed" in said
    assert "inside a token: ends in 'Mendes0'" in said
    assert "make train stops at stage validate" in said and "Few annotated entities are lost in reading" in said
    with pytest.raises(
        Exception, match=r"export\.jsonl, line 1: train breaks 'Few annotated.*inside a token.*6 of 120"
    ):
        run_stages(root)
    call(main, "local/export.jsonl", "--accept-losses")
    assert len(run_stages(root)) == 3


def test_a_second_delivery_is_held_to_the_first_and_its_entry_keeps_what_a_person_wrote(root, capsys):
    write_export(root / "local" / "export.jsonl")
    call(main, "local/export.jsonl", "--name", "mine", "--license", "ours alone")
    profile, first = profile_path("mine").read_bytes(), read_catalog().corpora["mine"].files()["all"][0].sha256
    capsys.readouterr()
    write_export(root / "local" / "export.jsonl", count=70, types=("人物", "Land"))
    call(main, "local/export.jsonl", "--name", "mine")
    said = capsys.readouterr().out
    assert "types that the profile does not have: Land" in said and "types that are gone: Straße/Ort" in said
    assert "documents: 60 -> 70" in said and "make train stops" in said
    entry = read_catalog().corpora["mine"]
    assert entry.license == "ours alone" and entry.files()["all"][0].sha256 != first
    assert profile_path("mine").read_bytes() == profile
    with pytest.raises(Exception, match=r"export\.jsonl, line \d+, token \d+: .*No entity type is new to the profile"):
        run_stages(root)
    call(main, "local/export.jsonl", "--name", "mine", "--new-profile")
    assert len(run_stages(root)) == 3


def test_the_same_file_again_changes_nothing(root, capsys):
    write_export(root / "local" / "export.jsonl")
    call(main, "local/export.jsonl")
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    call(main, "local/export.jsonl")
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before
    assert "differs from it in:\n  nothing" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        (["nowhere"], SourceError, "nowhere is not there: name a file or a folder"),
        (["local/notes.txt"], CorpusError, "notes.txt"),
        (["local/export.jsonl", "--name", "conll2003"], CatalogError, "a corpus 'conll2003' already"),
        (["local/export.jsonl", "--set", "schema=IOB1"], CatalogError, "need key=value, with a key of"),
        (["local/export.jsonl", "--format", "conllu"], CorpusError, "no column of export.jsonl holds tags"),
        (["local/export.jsonl", "--accept", "max_x"], ParamsError, "--accept max_x: need a limit of validation"),
        (["local/export.jsonl", "--base", "bert"], CatalogError, "model.base: 'bert' is not in catalog.yaml"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_changes_nothing(root, arguments, error, said):
    write_export(root / "local" / "export.jsonl")
    (root / "local" / "notes.txt").write_text("Just a few words.\nAnd more of them, in lines.\n", encoding="utf-8")
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    with pytest.raises(error, match=re.escape(said)) as caught:
        call(main, *arguments)
    assert "\n" not in str(caught.value)
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before


def test_many_files_are_one_pattern_with_one_checksum(root):
    folder = root / "local" / "brat"
    folder.mkdir(parents=True)
    paths = []
    for number in range(12):
        (folder / f"{number:02}.txt").write_text("Ana left.", encoding="utf-8")
        (folder / f"{number:02}.ann").write_text("T1\tPER 0 3\tAna\n", encoding="utf-8")
        paths.append(folder / f"{number:02}.ann")
    entry = new_entry(Recognised(Format("brat", documents="files"), {"all": paths}, [], []), folder, "x")
    assert entry["splits"]["all"]["path"] == "*.ann" and len(entry["splits"]["all"]["sha256"]) == 64
    assert entry["split"] == {"validation": 0.1, "test": 0.1, "seed": 42}


def test_many_files_in_subfolders_are_one_pattern(root):
    paths = []
    for number in range(12):
        paths.append(root / "local" / "brat" / ("north", "south")[number % 2] / f"{number:02}.ann")
        paths[-1].parent.mkdir(parents=True, exist_ok=True)
        paths[-1].with_suffix(".txt").write_text("Ana left.", encoding="utf-8")
        paths[-1].write_text("T1\tPER 0 3\tAna\n", encoding="utf-8")
    entry = new_entry(recognise(root / "local" / "brat"), root / "local" / "brat", "x")
    assert entry["splits"]["all"]["path"] == "**/*.ann"


def test_a_zip_archive_is_entered_by_its_members_and_read_by_ingest(root):
    for name in ("train", "dev", "test"):
        write_export(root / "x" / f"{name}.jsonl")
    (root / "local").mkdir()
    with zipfile.ZipFile(root / "local" / "corpus.zip", "w") as file:
        for path in (root / "x").iterdir():
            file.write(path, f"inner/{path.name}")
    path = Path("local/corpus.zip")
    catalog, entry = YamlFile(Path("catalog.yaml")), new_entry(recognise(path), path, "x")
    assert entry["folder"] == "local" and entry["splits"]["test"]["path"] == "corpus.zip/inner/test.jsonl"
    put(catalog.tree["corpora"], "packed", quoted(entry))
    catalog.write()
    for source in ("packed", "local/corpus.zip"):
        manifest = ingest(source, root / "data" / source.replace("/", "-"))
        assert {name: about["sentences"] for name, about in manifest["splits"].items()} == dict.fromkeys(
            ("train", "validation", "test"), 60
        )


def test_many_files_in_a_zip_archive_are_one_pattern(root):
    with zipfile.ZipFile(root / "brat.zip", "w") as file:
        for number in range(12):
            file.writestr(f"{number:02}.txt", "Ana left.")
            file.writestr(f"{number:02}.ann", "T1\tPER 0 3\tAna\n")
    entry = new_entry(recognise(root / "brat.zip"), root / "brat.zip", "x")
    assert entry["splits"]["all"]["path"] == "brat.zip/*.ann"


@pytest.mark.parametrize("kind", ["records", "brat"])
def test_a_token_without_a_line_of_its_own_is_told_by_file_and_record(root, kind):
    for name in ("train", "dev", "test"):
        folder = root / "local" / "x" / name
        folder.mkdir(parents=True)
        records = [
            {"text": f"In {name}.\nIlse left.", "label": [[0, 2, "X"]]},
            {"text": "Bo \u200b came.", "label": []},
        ]
        if kind == "records":
            (folder / f"{name}.json").write_text(json.dumps(records), encoding="utf-8")
        for number, record in enumerate(records) if kind == "brat" else ():
            (folder / f"{name}{number}.txt").write_text(record["text"], encoding="utf-8")
            (folder / f"{name}{number}.ann").write_text("T1\tX 0 2\t" + record["text"][:2] + "\n", encoding="utf-8")
    scan = read_scans(root / "data", ingest("local/x", root / "data"))["train"]
    places = [scan.place_of_token(row) for row in range(scan.sizes["tokens"])]
    first = "train.json, record 1 (line 1)" if kind == "records" else "train0.ann"
    second = "train.json, record 2 (line 1), token 1" if kind == "records" else "train1.ann, token 1"
    assert places[0] == f"{first}, token 0" and second in places


def test_a_folder_without_training_is_refused_with_its_files(root):
    for name in ("dev", "test"):
        (root / "local").mkdir(exist_ok=True)
        (root / "local" / f"{name}.conll").write_text("Ada B-PER\nleft O\n\n" * 9, encoding="utf-8")
    words = r"local: there are files of validation \(dev\.conll\); test \(test\.conll\), but none for training"
    with pytest.raises(SourceError, match=words):
        call(main, "local")


def test_an_uneven_first_delivery_passes_its_own_profile(root, capsys):
    """One long annex without entities beside short letters full of them."""
    letters = [[(f"Ada{i}", "B-PER"), ("met", "O"), (f"Bo{i}", "B-PER"), (".", "O")] for i in range(60)]
    annex = [[(f"page{i}", "O"), ("of", "O"), (f"annex{i}", "O"), ("and", "O"), ("more", "O")] for i in range(120)]
    documents = [letters[i : i + 3] for i in range(0, 60, 3)] + [annex]
    rows = ["-DOCSTART- O\n\n" + "".join("".join(f"{t} {g}\n" for t, g in s) + "\n" for s in d) for d in documents]
    (root / "local").mkdir()
    (root / "local" / "all.conll").write_text("".join(rows), encoding="utf-8")
    call(
        main, "local/all.conll", "--accept", "max_ratio_to_profile", "--accept", "validation.max_change_without_entity"
    )
    said = capsys.readouterr().out
    assert re.search(r"validation\.max_ratio_to_profile: [\d.]+: (validation|test) has 50 entities a 100 tokens", said)
    assert len(run_stages(root)) == 3


def test_a_file_whose_name_tells_no_split_beside_others_is_refused(root):
    found = Recognised(Format("conll"), {"train": [Path("a/train.txt")], "other": [Path("a/notes.txt")]}, [], [])
    with pytest.raises(SourceError, match=r"the name of notes\.txt tells no split"):
        new_entry(found, Path("a"), "x")


def test_words_that_older_yaml_takes_for_something_else_are_quoted(root):
    file = YamlFile(root / "catalog.yaml")
    file.tree["corpora"]["x"] = quoted({"language": "no", "on": ["1:30", "~", "NO", "plain", "人物"]})
    text = file.after()
    assert "language: 'no'" in text and "'on':" in text and "- '1:30'" in text and "- plain" in text and "人物" in text


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("der Mann und die Frau sind nicht in dem Haus", "de"),
        ("o tribunal não foi para a casa com os outros", "pt"),
        ("東 京 へ", "ja"),
        ("BRCA1 p53 TNF-alpha IL-6 mRNA", "unknown"),
        ("xx yy zz qq", "unknown"),
        ("", "unknown"),
    ],
)
def test_the_language_is_guessed_and_what_is_no_sentence_has_none(text, language):
    assert guess_language(text) == language
