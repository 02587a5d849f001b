"""Which windows make a step: within the size, each once, the same for the same seed, as many steps in every epoch."""

import random

import pytest

from ner.training.batching import Plan

LENGTHS = [random.Random(3).choice([9, 14, 25, 40, 90, 128]) for _ in range(500)]


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_every_window_is_read_once_an_epoch_in_batches_within_the_size(processes):
    plan = Plan(LENGTHS, 256, seed=1, epochs=2, processes=processes)
    assert len(plan) % processes == 0
    for epoch in range(2):
        batches = plan.batches(epoch)
        assert len(batches) == len(plan)
        assert sorted(window for batch in batches for window in batch) == list(range(len(LENGTHS)))
        assert max(len(batch) * max(LENGTHS[window] for window in batch) for batch in batches) <= 256
    assert plan.padding() < 0.15


def test_large_batches_are_no_more_padded_than_small_ones():
    lengths = LENGTHS * 20
    small, large = (Plan(lengths, size, seed=1, epochs=1).padding() for size in (512, 8192))
    assert large < small + 0.05


def test_the_order_depends_on_the_seed_and_the_epoch_alone():
    one, two, other = (Plan(LENGTHS, 256, seed=seed, epochs=2) for seed in (1, 1, 2))
    assert [one.batches(epoch) for epoch in range(2)] == [two.batches(epoch) for epoch in range(2)]
    assert one.batches(0) != one.batches(1) and one.batches(0) != other.batches(0)
    assert Plan(LENGTHS, 256, seed=1, epochs=1).batches(0) != sorted(one.batches(0))


def test_a_window_longer_than_the_size_is_a_batch_of_its_own():
    assert [1] in Plan([10, 600, 10], 64, seed=0, epochs=1).batches(0)


def test_batches_may_count_windows_instead():
    batches = Plan(LENGTHS, 16, seed=1, epochs=1, by_subwords=False).batches(0)
    assert len(batches) == 32 and {len(batch) for batch in batches} == {16, 4}


def test_epochs_of_different_size_have_as_many_steps():
    picks = iter([list(range(500)), list(range(100))])
    plan = Plan(LENGTHS, 256, seed=1, epochs=2, pick=lambda chance: next(picks))
    assert len(plan.batches(0)) == len(plan.batches(1))
    assert sorted(window for batch in plan.batches(1) for window in batch) == list(range(100))


def test_batches_of_one_step_are_of_about_one_length():
    batches = Plan(LENGTHS, 128, seed=1, epochs=1, processes=2).batches(0)
    padded = [len(batch) * max(LENGTHS[window] for window in batch) for batch in batches]
    apart = [abs(one - other) for one, other in zip(padded[::2], padded[1::2], strict=True)]
    assert sum(apart) / sum(padded) < 0.05
