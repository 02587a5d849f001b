"""The probe of batch sizes: real steps on a tiny encoder, and what it chooses from sizes that were measured."""

import sys
from pathlib import Path

import pytest
import torch

from ner.errors import NerError
from tasks import probe as module
from tasks.io import read_params
from tasks.prepared import read_manifest
from tasks.probe import LEAST, Size, advice, choose, main, measured, probe, train_steps, training_steps

ROOT = Path(__file__).resolve().parents[2]
GB = 10**9


@pytest.fixture
def root(tmp_path, trainable, monkeypatch) -> Path:
    params = trainable(tmp_path, batch_size=64) / "params.yaml"
    params.write_text("# mine\n" + params.read_text())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_steps_are_trained_on_full_windows_of_the_size_asked_for(root):
    from tasks.training_clock import Clock

    params, clock = read_params(), Clock(1)
    labels = read_manifest(root / "data/prepared")["labels"]
    train_steps(params, labels, 128, 3, root / "models/base", root / "scratch", clock)
    assert clock.result()["subwords"] == 2 * 128 and clock.result()["padding"] == 0


def test_a_size_has_its_rate_and_its_memory(root):
    size = measured(read_params(), read_manifest(root / "data/prepared")["labels"], 64, 2, root / "models/base")
    assert size.rate > 0 and size.fits and size.memory > 50_000_000


def test_a_device_without_memory_is_a_size_that_does_not_fit(root, monkeypatch):
    def full(*args, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(module, "train_steps", full)
    assert measured(read_params(), ["O"], 64, 2) == Size(64, None, None, None)


def test_sizes_double_until_one_does_not_fit(root):
    def until_256(params, labels, batch, steps):
        return Size(batch, float(batch), batch * GB // 100, 10 * GB) if batch <= 256 else Size(batch, None, None, None)

    found = probe(read_params(), ["O"], 65536, 3, until_256)
    assert [size.batch for size in found] == [64, 128, 256, 512] and not found[-1].fits


def test_a_size_that_could_not_fit_is_not_tried(root):
    found = probe(read_params(), ["O"], 65536, 3, lambda params, labels, batch, steps: Size(batch, 1.0, batch, 560))
    assert [size.batch for size in found] == [64, 128, 256]


def test_the_smallest_size_that_is_about_as_fast_as_the_fastest_is_chosen():
    found = [Size(512, 100.0, 1, 10), Size(1024, 196.0, 2, 10), Size(2048, 200.0, 4, 10), Size(4096, 400.0, 10, 10)]
    steps = dict.fromkeys([512, 1024, 2048, 4096], LEAST)
    assert choose(found, steps).batch == 1024  # 4096 takes all of the memory
    assert advice(found, found[1], 512)[0] == "train.batch_size: 1024 is 1.96 times as fast as 512."


def test_a_size_that_leaves_too_few_steps_to_learn_in_is_not_chosen_and_that_is_said():
    found = [Size(512, 100.0, 1, 10), Size(1024, 200.0, 2, 10), Size(2048, 400.0, 4, 10)]
    best = choose(found, {512: 2 * LEAST, 1024: LEAST, 2048: LEAST // 2})
    assert best.batch == 1024 and "fewer than 300 steps" in advice(found, best, 512)[-1]
    assert choose(found, dict.fromkeys([512, 1024, 2048], 5)).batch == 512  # a small corpus
    assert advice(found, found[0], 512)[0] == "train.batch_size: 512 stays."
    assert len(advice(found, found[2], 512)) == 2


def test_no_size_that_fits_names_the_parameter():
    with pytest.raises(NerError, match=r"train\.batch_size: not even 512 subwords fit"):
        choose([Size(512, None, None, None)], {512: LEAST})


def test_the_steps_of_a_training_are_those_that_it_has(root):
    params = read_params()
    train = params.train.model_copy(update={"epochs": 2.0, "gradient_accumulation": 2})
    steps = training_steps(
        params.model_copy(update={"train": train}), root / "data/prepared", root / "models/base", [32, 64]
    )
    assert steps[32] > steps[64] > 1
    once = training_steps(params, root / "data/prepared", root / "models/base", [32])
    assert abs(steps[32] - once[32]) <= 2  # twice the epochs, half the steps in each


def test_the_choice_goes_into_params_yaml_only_when_asked_and_comments_stay(root, monkeypatch, capsys):
    monkeypatch.setattr(module, "apart", lambda params, labels, batch, steps: Size(batch, float(batch), 1, 10))
    monkeypatch.setattr(module, "LEAST", 1)
    monkeypatch.setattr(sys, "argv", ["probe", "--largest", "256"])
    main()
    said = capsys.readouterr().out
    assert read_params().train.batch_size == 64 and "256 is 4.00 times as fast as 64" in said
    assert "steps of a training" in said
    monkeypatch.setattr(sys, "argv", ["probe", "--largest", "256", "--apply"])
    main()
    assert read_params().train.batch_size == 256 and (root / "params.yaml").read_text().startswith("# mine")
