"""Each architecture and kind of tokenizer that people use, end to end on a tiny encoder with random weights.

What is known of each stands in KINDS (tests/shared/encoder_kinds.py), and in the table of docs/how-to/encoders.md.
"""

import json
import re
import shutil
from bisect import bisect_right
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file
from transformers import AutoModelForTokenClassification, AutoTokenizer, TrainerCallback, pipeline

from encoder_kinds import KINDS, make
from ner.common.files import read_params, sha256_file
from ner.data.prepared import read_split
from ner.data.sources.base_encoder import check_encoder
from ner.encoding.tokenizer import reads_apart
from ner.encoding.windows import encode_windows
from ner.errors import ModelError, ParamsError
from ner.export.int8 import quantize
from ner.export.onnx_graph import write_graph
from ner.inference.annotate import annotate
from ner.inference.onnx import FILE, OnnxModel
from ner.inference.tagger import Tagger
from ner.registry.versions import add_version, content_digest
from ner.tracking import mlflow_store as store
from ner.tracking.live_run import LiveRun
from ner.tracking.training_log import TrainingLog
from ner.training.model import load_reader
from ner.training.run import train
from training_folder import fill

WINDOW = 48
TRAIN = {
    "epochs": 2, "batch_size": 96, "learning_rate": 1e-3, "device": "cpu", "precision": "fp32", "dropped_layers": 1,
    "checkpoints": 4, "dropout": 0.1,
}  # fmt: skip
WORDS = ["Marta", "Okafor", "didn't", "leave", "Élysée", "\u200b", "3.5", "in", "ROTTERDAM", "北京", "."]


class Killed(Exception):
    pass


class KilledAt(TrainerCallback):
    """Ends a training at a step, as a signal would."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args, state, control, **_):
        if state.global_step == self.step:
            raise Killed


class Log(TrainingLog):
    """A log without MLflow. killed_at: the step at which its training ends."""

    def __init__(self, reports: Path, killed_at: int | None = None) -> None:
        super().__init__(reports, live=False)
        self.killed_at = killed_at

    def callbacks(self):
        return [*super().callbacks(), *([KilledAt(self.killed_at)] if self.killed_at else [])]


def fit(folder: Path, killed_at: int | None = None) -> Path:
    """Train in a folder and return the model."""
    params, model = read_params(folder / "params.yaml"), folder / "models" / "ner"
    base, reports = folder / "models" / "base", folder / "reports"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NER_HOME", str(folder))
        train(params, folder / "data/prepared", base, model, folder / "checkpoints", Log(reports, killed_at))
    return model


@pytest.fixture(scope="session")
def sentences(prepared):
    return read_split(prepared, "train").tokens


OFTEN = ("bert-cased", "mpnet", "roberta", "modernbert")  # of each way to cut words; the others take minutes


@pytest.fixture(
    scope="session",
    params=[kind if kind in OFTEN else pytest.param(kind, marks=pytest.mark.operations) for kind in KINDS],
)
def kind(request):
    return request.param


@pytest.fixture(scope="session")
def encoder(kind, sentences, tmp_path_factory) -> Path:
    return make(kind, tmp_path_factory.mktemp(kind) / "encoder", sentences)


@pytest.fixture(scope="session")
def folder(encoder, prepared, tmp_path_factory) -> Path:
    """A folder in which the encoder was trained, without its top layer."""
    folder = tmp_path_factory.mktemp("trained") / "checkout"
    fill(folder, prepared, encoder, train=TRAIN, encoding={"max_length": WINDOW})
    fit(folder)
    return folder


@pytest.fixture
def split(prepared):
    return read_split(prepared, "validation")


def test_a_training_that_was_killed_ends_with_the_same_bytes(folder, tmp_path):
    again = shutil.copytree(folder, tmp_path / "again")
    shutil.rmtree(again / "models" / "ner")
    with pytest.raises(Killed):
        fit(again, killed_at=5)
    assert list(again.glob("checkpoints/*/checkpoint-*"))
    fit(again)
    weights = "models/ner/model.safetensors"
    assert sha256_file(again / weights) == sha256_file(folder / weights)


def test_the_top_layer_is_left_out_and_frozen_parts_stay(folder, encoder):
    before, after = load_file(encoder / "model.safetensors"), load_file(folder / "models/ner/model.safetensors")
    model = AutoModelForTokenClassification.from_pretrained(folder / "models" / "ner")
    full = AutoModelForTokenClassification.from_pretrained(encoder)
    assert model.config.num_hidden_layers == full.config.num_hidden_layers - 1
    prefix = model.base_model_prefix + "."
    numbers = {int(number) for name in after for number in re.findall(r"\.(\d+)\.", name)}
    assert max(numbers) == (0 if model.config.model_type == "albert" else model.config.num_hidden_layers - 1)
    moved = {
        name
        for name, values in after.items()
        if values.shape != before.get(name.removeprefix(prefix), values).shape
        or not torch.equal(values, before.get(name.removeprefix(prefix), values[..., :0]))
    }
    embeddings = {name for name in after if "embeddings." in name and "rel_embeddings" not in name} | {
        prefix + "wte.weight"
    }
    assert not {name for name in moved & embeddings if "word_embeddings" not in name}
    assert any("attn" in name or "attention" in name for name in moved)


def test_predictions_are_those_of_plain_transformers_on_the_same_windows(folder, split):
    model = folder / "models" / "ner"
    tagger = Tagger.load(model)
    found = np.concatenate(tagger.logits(split.tokens, split.document_ids))
    plain, tokenizer = (
        AutoModelForTokenClassification.from_pretrained(model).eval(),
        AutoTokenizer.from_pretrained(model),
    )
    expected = []
    for window in encode_windows(tokenizer, split.tokens, split.document_ids, WINDOW):
        with torch.no_grad():
            expected.append(plain(torch.tensor([window.input_ids])).logits[0, window.positions].numpy())
    np.testing.assert_allclose(found, np.concatenate(expected), atol=1e-5)


def test_words_are_read_as_in_a_text_and_anyone_who_loads_the_model_reads_them_so(folder, encoder, kind):
    reader, _ = load_reader(encoder, read_params(folder / "params.yaml").encoding)
    saved = AutoTokenizer.from_pretrained(folder / "models" / "ner")
    assert reads_apart(reader) and reads_apart(saved)
    ours = reader(WORDS, is_split_into_words=True)["input_ids"]
    assert saved(WORDS, is_split_into_words=True)["input_ids"] == ours
    if kind not in ("gpt2",):
        assert saved(" ".join(WORDS))["input_ids"] == ours


def test_a_pipeline_gives_each_word_the_tag_that_the_tagger_gives_it(folder):
    model = folder / "models" / "ner"
    tag = pipeline("token-classification", model=str(model), ignore_labels=[])
    sentences = [["Marta", "Okafor", "joined", "Helvion", "Steel", "in", "Rotterdam", "."], ["Okafor", "left", "."]]
    tagger = Tagger.load(model)
    texts = [" ".join(words) for words in sentences]
    for words, text, pieces in zip(sentences, texts, tag(texts, batch_size=2), strict=True):
        starts = list(accumulate((len(word) + 1 for word in words[:-1]), initial=0))
        firsts: dict[int, str] = {}
        for piece in pieces:
            inside = piece["end"] if text[piece["end"] - 1] == " " else piece["end"] - 1  # a space is of what follows
            firsts.setdefault(bisect_right(starts, inside) - 1, piece["entity"])
        ours = [tagger.labels[best] for best in tagger.logits([words])[0].argmax(-1)]
        assert [firsts[index] for index in range(len(words))] == ours


@pytest.mark.slow
def test_its_graph_says_the_same_in_fp32_and_its_int8_can_be_made(folder, tmp_path, split):
    model = folder / "models" / "ner"
    exported = shutil.copytree(model, tmp_path / "onnx", ignore=shutil.ignore_patterns("*.safetensors"))
    write_graph(model, exported / FILE)
    ours, graph = Tagger.load(model), Tagger.load(exported)
    assert isinstance(graph.model, OnnxModel)
    for one, other in zip(ours.logits(split.tokens), graph.logits(split.tokens), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)
    windows = [window.input_ids for window in encode_windows(ours.tokenizer, split.tokens, None, WINDOW)]
    quantize(exported / FILE, tmp_path / FILE, windows, len(ours.labels))
    shutil.copy(tmp_path / FILE, exported / FILE)
    assert np.isfinite(np.concatenate(Tagger.load(exported).logits(split.tokens))).all()


@pytest.mark.operations
def test_a_registered_version_answers_with_the_callers_characters(folder, tmp_path, monkeypatch):
    import mlflow

    model = folder / "models" / "ner"
    monkeypatch.setenv("NER_HOME", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    run = LiveRun.open("ner", "tiny", {}, {})
    run.close("FINISHED")
    version = add_version("ner", run.run_id, model, content_digest(model))
    mlflow.set_tracking_uri(store.tracking_uri())
    served = mlflow.pyfunc.load_model(f"models:/ner/{version.version}")
    text = "Ünïcode Marta Okafor didn't\r\nleave \u200bRotterdam — 北京!"
    (answer,) = served.predict({"text": text})
    (ours,) = annotate(Tagger.load(model), [text])
    found = [(entity["type"], entity["start"], entity["end"], entity["text"]) for entity in answer["entities"]]
    assert found == [(entity["type"], entity["start"], entity["end"], entity["text"]) for entity in ours]
    assert all(text[start:end] == part for _, start, end, part in found)


def test_an_encoder_that_lower_cases_learns_upper_case_and_no_other_is_touched(kind, encoder, prepared):
    params = read_params(Path(__file__).resolve().parents[2] / "data" / "params.yaml")
    tokenizer, twins = load_reader(encoder, params.encoding)
    assert (twins is not None) == KINDS[kind].uncased
    marta, small = tokenizer(["Marta", "marta"], add_special_tokens=False)["input_ids"]
    assert (marta == small) == (kind == "albert")  # which lower-cases, but not as BERT does


@pytest.mark.slow
def test_bf16_computes_with_it(kind, encoder, prepared, tmp_path):
    folder = fill(
        tmp_path / "half",
        prepared,
        encoder,
        train={**TRAIN, "epochs": 1, "precision": "bf16"},
        encoding={"max_length": WINDOW},
    )
    assert all(torch.isfinite(values).all() for values in load_file(fit(folder) / "model.safetensors").values())


def test_a_window_longer_than_its_positions_is_one_sentence(kind, encoder, prepared, tmp_path):
    """Also where only the model itself knows, which the tokenizer does not say."""
    folder = fill(tmp_path / "long", prepared, encoder, train=TRAIN, encoding={"max_length": 129})
    config = json.loads((folder / "models/base/tokenizer_config.json").read_text())
    del config["model_max_length"]
    (folder / "models/base/tokenizer_config.json").write_text(json.dumps(config))
    if KINDS[kind].distances:
        fit(folder)
    else:
        with pytest.raises(
            ParamsError, match=r"encoding\.max_length: 129 does not suit this encoder, .* up to 128 sub"
        ):
            fit(folder)


def test_layers_in_groups_cannot_be_left_out(sentences, tmp_path, prepared):
    encoder = make("albert", tmp_path / "encoder", sentences, num_hidden_groups=2, num_hidden_layers=4)
    folder = fill(tmp_path / "checkout", prepared, encoder, train=TRAIN, encoding={"max_length": WINDOW})
    with pytest.raises(
        ParamsError, match="dropped_layers: the layers of this encoder .albert. belong together in groups"
    ):
        fit(folder)


def wrong_architecture(base: Path) -> None:
    change_json(base / "config.json", model_type="mpnet")


def unknown_architecture(base: Path) -> None:
    change_json(base / "config.json", model_type="unheard-of")


def no_head(base: Path) -> None:
    change_json(base / "config.json", model_type="clip")


def small_vocabulary(base: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.add_tokens(["Helvion-Steel", "Okafor-Marta"])
    tokenizer.save_pretrained(base)


def change_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (wrong_architecture, r"lacks \d+ of the encoder's weights .* another architecture than config\.json names"),
        (unknown_architecture, "cannot be loaded for token classification .*unheard-of"),
        (no_head, "cannot be loaded for token classification"),
        (small_vocabulary, r"has \d+ pieces, the encoder vectors for \d+: call `resize_token_embeddings"),
    ],
)
def test_an_encoder_that_does_not_hold_together_is_one_sentence(change, said, sentences, prepared, tmp_path):
    encoder = make("bert-cased", tmp_path / "encoder", sentences)
    change(encoder)
    folder = fill(tmp_path / "checkout", prepared, encoder, train=TRAIN, encoding={"max_length": WINDOW})
    with pytest.raises(ModelError, match=said) as caught:
        fit(folder)
    assert "\n" not in str(caught.value)


def test_code_of_its_own_is_refused_in_one_sentence(sentences, tmp_path):
    encoder = make("bert-cased", tmp_path / "encoder", sentences)
    change_json(encoder / "config.json", auto_map={"AutoModel": "modeling.Own"})
    with pytest.raises(
        ModelError, match=r"mine brings its own Python code \(auto_map in config\.json\), which is never run"
    ):
        check_encoder(encoder, "mine")


def test_the_documentation_names_what_is_tested_here():
    page = (Path(__file__).resolve().parents[3] / "docs/how-to/encoders.md").read_text()
    rows = re.findall(r"^\| ([\w-]+) \| ([\w-]+) \| .* \| (.*) \| yes \|$", page, re.MULTILINE)
    assert [name for _, name, _ in rows] == list(KINDS)
    assert {name for _, name, case in rows if case == "yes"} == {name for name, one in KINDS.items() if one.uncased}
    assert all(getattr(transformers, KINDS[name].model + "Config").model_type == type_ for type_, name, _ in rows)
