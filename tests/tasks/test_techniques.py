"""Techniques of experiments: what each does to the weights, and that the model has its old shape afterwards."""

import copy
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from transformers import TrainerCallback

from ner.errors import ParamsError
from ner.params import EncodingParams
from tasks.experiments_file import TechniqueParams
from tasks.new_model import layers, new_model
from tasks.techniques import Technique, chained

PARTS = ("embeddings", "encoder.layer.0", "encoder.layer.1")
ENCODING = EncodingParams(context="document", max_length=32, case="as_encoder")


@pytest.fixture
def model(tiny_encoder):
    torch.manual_seed(1)
    return new_model(tiny_encoder, ["O", "B-PER", "I-PER"], ENCODING)


def trained(technique, model, steps, optimizer=None):
    """Let the callback see steps in which the model is changed by `steps`, one function a step."""
    callback, state = Technique(TechniqueParams(**technique)), SimpleNamespace(global_step=0, max_steps=len(steps))
    callback.on_train_begin(None, state, None, model=model, optimizer=optimizer)
    for step in steps:
        step()
        state.global_step += 1
        callback.on_step_end(None, state, None, model=model)
    callback.on_train_end(None, state, None, model=model)


def weights_become(model, value):
    return lambda: nn.init.constant_(model.weight, value)


@pytest.mark.parametrize(
    ("technique", "kept"),
    [
        ({"averaged_from": 0.6}, (3.0 + 4.0 + 8.0) / 3),  # after step 3 of 5
        ({"ema_decay": 0.5}, 1 / 16 + 2 / 16 + 3 / 8 + 4 / 4 + 8 / 2),
    ],
)
def test_an_average_of_the_weights_is_kept(technique, kept):
    model = nn.Linear(1, 1, bias=False)
    trained(technique, model, [weights_become(model, value) for value in (1.0, 2.0, 3.0, 4.0, 8.0)])
    assert model.weight.item() == pytest.approx(kept)


def test_the_top_layers_begin_anew_and_the_others_stay(model):
    before = [{name: w.clone() for name, w in layer.state_dict().items()} for layer in layers(model)]
    trained({"fresh_layers": 1}, model, [])
    after = [layer.state_dict() for layer in layers(model)]
    assert all(torch.equal(after[0][name], value) for name, value in before[0].items())
    assert not any(torch.equal(after[-1][name], v) for name, v in before[-1].items() if v.ndim == 2)
    with pytest.raises(ParamsError, match="technique.fresh_layers 9 is more than the 2 layers"):
        trained({"fresh_layers": 9}, model, [])


def test_the_lowest_layers_learn_in_the_second_half_alone(model):
    def learning(halves):
        found = {name for name, parameter in halves.named_parameters() if parameter.grad is not None}
        halves.zero_grad()
        return [any(name.startswith(f"{model.base_model_prefix}.{part}") for name in found) for part in PARTS]

    callback, seen = Technique(TechniqueParams(late_layers=1)), []
    state = SimpleNamespace(global_step=0, max_steps=5)
    callback.on_train_begin(None, state, None, model=model)
    half = copy.deepcopy(model).train()  # as the bf16 training computes
    for step in range(1, 6):
        half(input_ids=torch.arange(5, 13)[None]).logits.square().sum().backward()
        seen.append(learning(half))
        state.global_step = step
        callback.on_step_end(None, state, None, model=model)
    callback.on_train_end(None, state, None, model=model)
    assert seen == [[False, False, True]] * 2 + [[True, True, True]] * 3
    assert not any(layer._forward_hooks for layer in layers(model))
    with pytest.raises(ParamsError, match="technique.late_layers 9 is more than the 2 layers"):
        Technique(TechniqueParams(late_layers=9)).on_train_begin(None, state, None, model=model)


def test_low_rank_additions_are_what_learns_and_are_merged_at_the_end(model):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    everything = [{"params": list(model.parameters()), "initial_lr": 1e-2, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(everything, lr=1e-2)
    ids = torch.arange(5, 13)[None]

    def step():
        model(input_ids=ids).logits.square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    trained({"lora_rank": 2}, model, [step, step, step], optimizer)
    after = model.state_dict()
    assert list(after) == list(before)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    core = [name for name in changed if name.startswith(model.base_model_prefix)]
    assert core and all(before[name].ndim == 2 and "embed" not in name for name in core)
    assert any(not name.startswith(model.base_model_prefix) for name in changed)  # the head
    name = core[0]
    assert torch.linalg.matrix_rank(after[name] - before[name], rtol=1e-3) == 2


def test_callbacks_in_a_chain_are_told_in_their_order():
    told = []

    class Teller(TrainerCallback):
        def __init__(self, name):
            self.name = name

        def on_step_end(self, args, state, control, **kwargs):
            told.append((self.name, kwargs["model"]))

    chain = chained(Teller("first"), Teller("second"))
    chain.on_step_end(None, None, None, model="m")
    chain.on_save(None, None, None)
    assert told == [("first", "m"), ("second", "m")]
