"""Steps in bf16: gradients in fp32, the same whether launched or recorded; what cannot be recorded is launched.

A CUDA graph is stood in for by one that runs what it records, and replays nothing: a real one computes nothing while it
is recorded.
"""

import math
import multiprocessing
from contextlib import contextmanager
from multiprocessing import get_context

import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import TrainingArguments

from ner.training import cuda_graphs
from ner.training.batching import Plan
from ner.training.bf16 import HalfCopy, Update
from ner.training.cuda_graphs import LAUNCHED, RecordedSteps
from ner.training.trainer import TokenTrainer, padded, take_one_gpu


class Network(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words, self.head = torch.nn.Embedding(20, 8), torch.nn.Linear(8, 3)
        self.unused = torch.nn.Linear(8, 3)
        self.words.requires_grad_(False)

    def forward(self, input_ids):
        return self.head(self.words(input_ids))


def loss_of(model, inputs, count):
    logits = model(input_ids=inputs["input_ids"]).float().flatten(0, 1)
    return cross_entropy(logits, inputs["labels"].flatten(), reduction="sum") / count


def batch(rows, length):
    ids = torch.arange(rows * length).reshape(rows, length) % 20
    return {"input_ids": ids, "labels": ids % 3}, torch.tensor(rows * length)


class Graph:
    """Stands in for a CUDA graph: the first replay is of a step that has been computed while it was recorded."""

    replayed = 0

    def pool(self):
        return (0, 1)

    def replay(self):
        Graph.replayed += 1


@pytest.fixture
def cuda(monkeypatch):
    """Graphs as said above; returns the names of the pools that they are recorded in."""
    pools = []

    @contextmanager
    def record(graph, pool=None, capture_error_mode="global"):
        assert capture_error_mode == "thread_local"  # another thread pins memory meanwhile
        pools.append(pool)
        yield

    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", record)
    Graph.replayed = 0
    return pools


@pytest.fixture(autouse=True)
def same_weights():
    torch.manual_seed(0)


def optimizer_of(model):
    return torch.optim.AdamW([{"params": [*model.parameters()], "lr": 0.01}], fused=True, weight_decay=0.1)


def recorded(model, max_norm=1.0):
    half, optimizer = HalfCopy(model), optimizer_of(model)
    return RecordedSteps(half, loss_of, Update(half, optimizer, max_norm)), optimizer


def weights(model):
    return {name: one.detach().clone() for name, one in model.named_parameters()}


def gradients(model):
    return {name: weights.grad for name, weights in model.named_parameters() if weights.grad is not None}


def by_hand(model, rates, max_norm):
    """Loss and norm of each step as the Trainer makes it, at learning rates that change from step to step."""
    half, optimizer, found = HalfCopy(model), optimizer_of(model), []
    inputs, count = batch(2, 4)
    for rate in rates:
        optimizer.param_groups[0]["lr"] = rate
        loss = half.step(loss_of, inputs, count)
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm)
        optimizer.step()
        model.zero_grad()
        found.append((loss.item(), norm.item()))
    return found


def test_gradients_are_in_fp32_and_add_up_over_the_batches_of_a_step():
    model = Network()
    half = HalfCopy(model)
    inputs, count = batch(2, 4)
    loss = half.step(loss_of, inputs, count)
    once = {name: gradient.clone() for name, gradient in gradients(model).items()}
    assert set(once) == {"head.weight", "head.bias"} and all(one.dtype == torch.float32 for one in once.values())
    assert loss == pytest.approx(float(loss_of(model, inputs, count).detach()), rel=0.02)
    half.step(loss_of, inputs, count)
    torch.testing.assert_close(gradients(model), {name: 2 * gradient for name, gradient in once.items()})


@pytest.mark.parametrize("max_norm", [0.01, 0.0])
def test_a_step_clips_updates_at_the_scheduled_rate_and_forgets_its_gradients(cuda, monkeypatch, max_norm):
    monkeypatch.setattr(cuda_graphs, "LAUNCHED", 100)
    model, same, rates = Network(), Network(), [0.01, 0.02, 0.005]
    same.load_state_dict(model.state_dict())
    steps, optimizer = recorded(model, max_norm)
    for rate, (loss, norm) in zip(rates, by_hand(same, rates, max_norm or math.inf), strict=True):
        optimizer.param_groups[0]["lr"] = rate
        assert steps(*batch(2, 4)) == loss
        assert steps.norm.item() == pytest.approx(norm)
        assert not gradients(model) and optimizer.param_groups[0]["lr"] == rate
    torch.testing.assert_close(weights(model), weights(same))
    assert not cuda


def test_a_recorded_step_is_what_a_launched_one_is(cuda):
    model, same = Network(), Network()
    same.load_state_dict(model.state_dict())
    steps, _ = recorded(model)
    expected = by_hand(same, [0.01] * (LAUNCHED + 1), 1.0)
    found = [steps(*batch(2, 4)).item() for _ in range(LAUNCHED + 1)]
    assert found == [loss for loss, _ in expected] and Graph.replayed == 1
    torch.testing.assert_close(weights(model), weights(same))
    before = weights(model)
    steps(*batch(2, 4))
    assert Graph.replayed == 2 and not gradients(model)
    torch.testing.assert_close(weights(model), before, rtol=0, atol=0)  # all of a step is in the graph


def test_each_shape_that_is_met_often_is_recorded_once_and_all_share_their_memory(cuda):
    steps, _ = recorded(Network())
    for rows, length in [(2, 4)] * (LAUNCHED + 3) + [(3, 4)] * (LAUNCHED + 3) + [(1, 4)] * LAUNCHED:
        steps(*batch(rows, length))
    assert cuda == [None, (0, 1)] and set(steps.recordings) == {torch.Size([2, 4]), torch.Size([3, 4])}


def test_a_replay_reads_the_batch_and_the_learning_rate_that_it_is_given(cuda):
    steps, optimizer = recorded(Network())
    inputs, count = batch(2, 4)
    for _ in range(LAUNCHED + 1):
        steps(inputs, count)
    other = {"input_ids": inputs["input_ids"] + 1, "labels": 2 - inputs["labels"]}
    optimizer.param_groups[0]["lr"] = 0.5
    steps(other, torch.tensor(5))
    recording = steps.recordings[inputs["input_ids"].shape]
    torch.testing.assert_close(recording.inputs, other)
    assert recording.tokens == 5 and inputs["labels"][0, 0] == 0  # the batch itself is not written to
    assert steps.update.rates[0] == 0.5


def test_a_network_that_cannot_be_recorded_is_launched_and_a_line_says_so_once(monkeypatch, capsys):
    @contextmanager
    def refuse(*args, **kwargs):
        raise RuntimeError("operation not permitted when stream is capturing\nand more")
        yield

    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", refuse)
    model, same = Network(), Network()
    same.load_state_dict(model.state_dict())
    steps, _ = recorded(model)
    expected = by_hand(same, [0.01] * (LAUNCHED + 3), 1.0)
    assert [steps(*batch(2, 4)).item() for _ in expected] == [loss for loss, _ in expected]
    torch.testing.assert_close(weights(model), weights(same))
    said = capsys.readouterr().err
    assert said.count("cannot be recorded: operation not permitted when stream is capturing\n") == 1


def test_a_network_with_hooks_is_not_recorded_since_they_would_run_once(cuda):
    steps, _ = recorded(Network())
    seen = []
    hook = steps.half.model.head.register_forward_hook(lambda *_: seen.append(1))
    for _ in range(LAUNCHED + 3):
        steps(*batch(2, 4))
    assert len(seen) == LAUNCHED + 3 and not steps.recordings
    hook.remove()
    steps(*batch(2, 4))
    assert len(steps.recordings) == 1


@pytest.mark.parametrize(("seen", "taken"), [(0, 0), (1, 1), (4, 1)])
def test_one_process_takes_one_gpu_however_many_there_are(seen, taken):
    arguments = TrainingArguments(use_cpu=True, report_to=[])
    arguments._n_gpu = seen
    take_one_gpu(arguments)
    assert arguments.n_gpu == taken


def test_workers_are_forked_for_in_a_process_that_was_spawned_they_would_import_everything_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(multiprocessing.context._default_context, "_actual_context", get_context("spawn"))
    arguments = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to=[], dataloader_num_workers=1)
    rows = [{"input_ids": [5, 6], "labels": [0, 1]}] * 2
    trainer = TokenTrainer(
        model=Network(),
        args=arguments,
        features=rows,
        plan=Plan([2, 2], 2, seed=1, epochs=1),
        groups=[],
        judge=lambda _: {},
        half=False,
        label_smoothing=0.0,
        pad_token_id=1,
    )
    loader = trainer.get_train_dataloader()
    assert loader.multiprocessing_context.get_start_method() == "fork" and len(list(loader)) == 2


def test_windows_of_recorded_steps_are_padded_to_a_multiple():
    rows = [{"input_ids": [5] * length, "labels": [0] * length} for length in (3, 9)]
    assert padded(rows, 1)["input_ids"].shape == (2, 9)
    found = padded(rows, 1, multiple=8)
    assert found["input_ids"].shape == (2, 16) and found["attention_mask"].sum() == 12
    assert (found["input_ids"][1, 9:] == 1).all() and (found["labels"][1, 9:] == -100).all()
