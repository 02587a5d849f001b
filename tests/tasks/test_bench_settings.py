"""The benchmark of settings on tiny encoders: each is laid over the training alone, and compared with it as it is."""

import os
from pathlib import Path

import pytest
import torch
from transformers import MPNetConfig, MPNetModel

from tasks import bench_settings, bench_training
from tasks.bench_settings import apart, bench, markdown, measure_with, names_for
from tasks.training_settings import AS_IT_IS, FUSED, SETTINGS, fused_attention

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def root(tmp_path_factory, trainable) -> Path:
    return trainable(tmp_path_factory.mktemp("bench-settings"), batch_size=32)


def test_every_setting_that_the_encoder_can_have_has_a_ratio_to_the_stage_as_it_is(root, monkeypatch):
    names = names_for(root / "models" / "base")
    assert names == [name for name in SETTINGS if name != FUSED]
    monkeypatch.setattr(bench_training, "WARM_UP", 0)
    monkeypatch.setattr(bench_settings, "apart", measure_with)  # in this process: the environment stays as it is
    report = bench(root, names, words=120, rounds=1)
    assert list(report["settings"]) == names
    assert report["settings"][AS_IT_IS]["ratio"] == {"median": 1.0, "low": 1.0, "high": 1.0}
    assert all(entry["words_per_second"] > 0 for entry in report["settings"].values())
    assert all(f"| {name} | " in markdown(report) for name in names)


def test_a_process_begins_with_the_environment_of_its_setting(root, monkeypatch):
    class Executor:
        def __init__(self, *args, **kwargs):
            self.seen = os.environ.get("OMP_NUM_THREADS")

        def __enter__(self):
            return self

        def __exit__(self, *args):
            return None

        def submit(self, *args):
            return self

        def result(self):
            return self.seen

    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setattr(bench_settings, "ProcessPoolExecutor", Executor)
    assert apart(root, root, "one thread", root) == "1" and os.environ["OMP_NUM_THREADS"] == "7"


def test_the_fused_attention_reads_as_that_of_transformers_does():
    torch.manual_seed(0)
    config = MPNetConfig(vocab_size=30, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8)
    model = MPNetModel(config).eval()
    inputs = {"input_ids": torch.randint(3, 30, (2, 6)), "attention_mask": torch.tensor([[1] * 6, [1] * 4 + [0] * 2])}
    with torch.no_grad():
        expected = model(**inputs).last_hidden_state
        with fused_attention():
            found = model(**inputs).last_hidden_state
    torch.testing.assert_close(found[inputs["attention_mask"] == 1], expected[inputs["attention_mask"] == 1])


def test_a_setting_that_was_not_used_is_no_measurement():
    with pytest.raises(RuntimeError, match="no attention of MPNet"), fused_attention():
        pass
