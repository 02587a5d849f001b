"""A tiny model with random weights, exported: it says the same, it is judged, and what passes becomes a version."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from ner.common.files import read_json, read_params, write_json
from ner.data.predict_splits import predict
from ner.data.prepared import read_manifest, read_split
from ner.errors import ModelError, NerError
from ner.evaluation.run import evaluate
from ner.export.onnx_graph import check
from ner.export.register import register_export
from ner.export.run import export
from ner.inference.onnx import FILE, FORMAT, OnnxModel
from ner.inference.tagger import Tagger
from ner.registry.promotion.checks import check_version
from ner.registry.versions import add_version, content_digest
from ner.tracking import mlflow_store as store
from ner.tracking.mlflow_store import client, experiment_id
from tasks.register_export import main

ROOT = Path(__file__).resolve().parents[2]
PARAMS = read_params(ROOT / "tests/data/params.yaml")
FORMATS = ("onnx", "onnx-int8")
LENIENT = {"min_f1": 0.0, "min_f1_each_type": 0.0, "max_shared_sentences": 1.0}


def params(formats=FORMATS, **gate):
    block = PARAMS.export.model_copy(update={"formats": formats, "max_f1_loss": 1.0})
    return PARAMS.model_copy(update={"export": block, "gate": PARAMS.gate.model_copy(update={**LENIENT, **gate})})


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory, untrained, prepared) -> Path:
    """A checkout after `package`, with an empty MLflow database."""
    root = tmp_path_factory.mktemp("evaluated")
    shutil.copytree(prepared, root / "data" / "prepared")
    shutil.copy(ROOT / "dvc.yaml", root)
    release = root / "models" / "release"
    untrained(release, read_manifest(prepared)["labels"])
    (release / "README.md").write_text("the card")
    write_json(root / "reports" / "gate.json", {"passed": True})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NER_HOME", str(root))
        patch.setenv("MLFLOW_TRACKING_URI", "")
        store.client().search_experiments()
        predict(PARAMS, root / "data" / "prepared", release, root / "reports" / "predictions")
        evaluate(PARAMS, root / "data" / "prepared", root / "reports")
    return root


@pytest.fixture(scope="module")
def exported(tmp_path_factory, evaluated) -> Path:
    """The same checkout after `export` of both formats."""
    root = tmp_path_factory.mktemp("exported") / "checkout"
    shutil.copytree(evaluated, root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NER_HOME", str(root))
        patch.setenv("MLFLOW_TRACKING_URI", "")
        export(params(), root)
    return root


@pytest.fixture
def root(tmp_path, monkeypatch, exported) -> Path:
    folder = shutil.copytree(exported, tmp_path / "checkout")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("NER_HOME", str(folder))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    return folder


def register_original(root: Path):
    """What `register` leaves, as far as the export needs it."""
    mlflow, release = client(), root / "models" / "release"
    run = mlflow.create_run(experiment_id(mlflow, "ner"), run_name="tiny").info.run_id
    mlflow.set_terminated(run)
    version = add_version("ner", run, release, content_digest(release))
    tags = {"data_fingerprint": read_manifest(root / "data" / "prepared")["fingerprint"], "git_commit": "c" * 40}
    for name, value in {**tags, "gate": "passed, 9 of 9 rules", "dvc_lock.models/ner": "f00.dir"}.items():
        mlflow.set_model_version_tag("ner", version.version, name, value)
    registration = {"model": "ner", "version": int(version.version), "content": content_digest(release)}
    write_json(root / "reports" / "registration.json", registration)
    return version


def test_the_graph_gives_torchs_logits_for_every_token_of_every_sentence(exported, prepared):
    split = read_split(prepared, "test")
    torch_model, graph = (Tagger.load(exported / "models" / name) for name in ("release", "export/onnx"))
    for documents in (None, split.document_ids):
        expected = np.concatenate(torch_model.logits(split.tokens, documents))
        assert np.concatenate(graph.logits(split.tokens, documents)) == pytest.approx(expected, abs=1e-4)


def test_an_int8_model_answers_nearly_the_same_whatever_is_in_its_batch(exported, prepared):
    split = read_split(prepared, "test")
    torch_model, small = (Tagger.load(exported / "models" / name) for name in ("release", "export/onnx-int8"))
    together = small.logits(split.tokens)
    assert np.concatenate(together) == pytest.approx(np.concatenate(torch_model.logits(split.tokens)), abs=0.1)
    alone = [small.logits([tokens])[0] for tokens in split.tokens]
    assert np.concatenate(alone) == pytest.approx(np.concatenate(together), abs=0.01)


def test_an_exported_folder_holds_a_graph_and_no_torch_weights(exported):
    for name in FORMATS:
        files = {file.name for file in (exported / "models" / "export" / name).iterdir()}
        assert {FILE, "config.json", "tokenizer.json", "README.md"} <= files and "model.safetensors" not in files
        assert read_json(exported / "models" / "export" / name / "config.json")[FORMAT] == name
        assert name in (exported / "models" / "export" / name / "README.md").read_text()
    content = (exported / "models" / "export" / "onnx" / FILE).read_bytes()
    assert str(ROOT).encode() not in content and b"site-packages" not in content


def test_the_report_has_size_scores_difference_and_verdict_of_each_format(exported):
    report = read_json(exported / "reports" / "export.json")
    assert list(report["formats"]) == list(FORMATS)
    for name, entry in report["formats"].items():
        assert entry["bytes"] == (exported / "models" / "export" / name / FILE).stat().st_size
        for split in ("validation", "test"):
            low, high = entry[split]["difference"]["interval"]
            assert low <= entry[split]["difference"]["difference"] <= high and 0 <= entry[split]["f1"] <= 1
        rules = {rule["rule"] for rule in entry["gate"]["rules"]}
        assert {"min_f1", "max_words_without_prediction", "no_worse_than_original", "no_worse_than_champion"} <= rules
    assert report["formats"]["onnx"]["validation"]["difference"]["same_tags"]


def test_without_formats_nothing_is_made_and_no_torch_is_loaded(checkout, monkeypatch):
    import subprocess
    import sys

    write_json(checkout / "reports" / "gate.json", {"passed": True})
    lines = "import sys; from tasks.{0} import main; main(); print('torch' in sys.modules, 'mlflow' in sys.modules)"
    for stage in ("export", "register_export"):
        done = subprocess.run(
            [sys.executable, "-c", lines.format(stage)], cwd=checkout, capture_output=True, text=True, check=True
        )
        assert done.stdout.splitlines()[-1] == "False False"
    assert read_json(checkout / "reports" / "export.json") == {"source": None, "formats": {}}
    assert read_json(checkout / "reports" / "export_registration.json")["contents"] == {}
    for folder in ("models/export", "reports/export"):  # DVC warns of an empty one, in every command
        assert [path.name for path in (checkout / folder).iterdir()] == ["formats.json"]


def test_a_version_says_its_format_and_where_it_comes_from_and_answers_and_passes_every_check(root):
    import mlflow

    original = register_original(root)
    done = register_export(params(), root)
    assert set(done["versions"]) == set(FORMATS) and done["failed"] == []
    for name in FORMATS:
        version = client().get_model_version_by_alias("ner", f"challenger-{name}")
        expected = {
            "format": name,
            "exported_from": str(original.version),
            "git_commit": "c" * 40,
            "dvc_lock": '{"models/ner": "f00.dir"}',
            "content": content_digest(root / "models" / "export" / name),
        }
        assert {key: version.tags.get(key) for key in expected} == expected
        assert version.tags["gate"].startswith("passed") and name in version.description
        run = client().get_run(version.run_id)
        assert run.data.tags["mlflow.parentRunId"] == original.run_id and run.info.status == "FINISHED"
        assert (
            run.data.metrics["validation_f1"]
            == read_json(root / "reports" / "export.json")["formats"][name]["validation"]["f1"]
        )
    (answer,) = mlflow.pyfunc.load_model("models:/ner@challenger-onnx-int8").predict({"text": ["Marta Okafor left ."]})
    assert answer["text"] == "Marta Okafor left ."
    checks = check_version(client().get_model_version_by_alias("ner", "challenger-onnx-int8"))
    assert {check.name: check.passed for check in checks} == dict.fromkeys(
        ("gate", "files", "loads", "predictions"), True
    )
    assert register_export(params(), root) == done
    assert len(client().search_model_versions("name='ner'")) == 3


def test_a_format_that_fails_is_named_with_its_reasons_and_the_others_are_registered(root, capsys):
    register_original(root)
    report = read_json(root / "reports" / "export.json")
    failed = {"rule": "min_f1", "threshold": 0.93, "value": 0.5, "passed": False, "reason": "F1 0.5 is under 0.93"}
    report["formats"]["onnx-int8"]["gate"] |= {"passed": False, "rules": [failed]}
    write_json(root / "reports" / "export.json", report)
    shutil.copy(ROOT / "tests/data/params.yaml", root)
    main()
    said = "register_export: the gate failed, so these formats are not registered: onnx-int8 (F1 0.5 is under 0.93)."
    assert capsys.readouterr().out.splitlines()[-1] == said
    assert set(client().get_registered_model("ner").aliases) == {"challenger-onnx"}
    written = read_json(root / "reports" / "export_registration.json")
    assert (list(written["contents"]), written["failed"]) == (["onnx"], ["onnx-int8"])


def test_a_model_that_failed_its_gate_is_neither_exported_nor_are_its_formats_registered(root):
    write_json(root / "reports" / "gate.json", {"passed": False})
    assert export(params(), root) == {"source": None, "formats": {}}
    for folder in ("models/export", "reports/export"):
        assert [path.name for path in (root / folder).iterdir()] == ["formats.json"]
    assert register_export(params(), root)["versions"] == {}
    assert client().search_model_versions("name='ner'") == []


def test_an_exported_model_is_held_against_the_gates_thresholds(evaluated, tmp_path, monkeypatch):
    root = shutil.copytree(evaluated, tmp_path / "checkout")
    monkeypatch.chdir(root)
    monkeypatch.setenv("NER_HOME", str(root))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    gate = export(params(("onnx",), min_f1=0.99), root)["formats"]["onnx"]["gate"]
    assert gate["passed"] is False
    assert [rule["rule"] for rule in gate["rules"] if not rule["passed"]] == ["min_f1"]


def test_an_export_of_another_release_is_not_registered(root):
    register_original(root)
    config = root / "models" / "release" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "ner_temperature": 2.0}))
    with pytest.raises(NerError, match="another release.*dvc repro export"):
        register_export(params(), root)


@pytest.mark.parametrize(("content", "said"), [(None, "is missing"), (b"no graph", "cannot be loaded")])
def test_a_graph_that_is_missing_or_broken_is_one_sentence(root, content, said):
    folder = root / "models" / "export" / "onnx"
    (folder / FILE).unlink()
    if content:
        (folder / FILE).write_bytes(content)
    with pytest.raises(ModelError, match=rf"{said}.*dvc repro export"):
        OnnxModel(folder)


def test_a_graph_that_says_something_else_is_noticed(exported, evaluated):
    from transformers import AutoModelForTokenClassification

    model = AutoModelForTokenClassification.from_pretrained(evaluated / "models" / "release").eval()
    check(model, exported / "models" / "export" / "onnx" / FILE)
    with torch.no_grad():
        model.classifier.bias += 0.5
    with pytest.raises(ModelError, match=r"wrong: .* its logits are 0\.5 off"):
        check(model, exported / "models" / "export" / "onnx" / FILE)


def test_params_name_the_formats_that_there_are():
    from ner.errors import ParamsError
    from ner.params import check_params

    tree = yaml.safe_load((ROOT / "tests/data/params.yaml").read_text())
    tree["export"]["formats"] = ["onnx-int4"]
    with pytest.raises(ParamsError, match=r"export\.formats"):
        check_params(tree)
