"""Batches side by side: every result in its place, and torch's own threads as they were."""

import threading

import numpy as np
import pytest
import torch

from ner.inference.parallel import side_by_side
from ner.inference.tagger import Tagger, batches
from waiting import PATIENCE_S


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield before
    torch.set_num_threads(before)


def test_results_come_in_order_from_as_many_threads_as_asked_for_each_computing_with_one():
    meeting = threading.Barrier(3, timeout=PATIENCE_S)  # passed only where three work at once

    def work(number: int) -> tuple[int, int]:
        meeting.wait()
        return number, torch.get_num_threads()

    assert list(side_by_side(work, range(6), 3)) == [(number, 1) for number in range(6)]


def test_a_lone_batch_has_all_threads_and_stays_in_this_one():
    torch.set_num_threads(2)
    found = list(side_by_side(lambda _: (threading.get_ident(), torch.get_num_threads()), ["batch"], 2))
    assert found == [(threading.get_ident(), 2)]


@pytest.mark.parametrize("breaks", [False, True])
def test_torch_has_its_threads_again_afterwards_and_an_error_comes_through(breaks):
    torch.set_num_threads(2)

    def work(number: int) -> int:
        return 1 // (number - 2) if breaks else number

    if breaks:
        with pytest.raises(ZeroDivisionError):
            list(side_by_side(work, range(50), 2))
    else:
        list(side_by_side(work, range(50), 2))
    seen: list[int] = []
    new = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    new.start()
    new.join()
    assert torch.get_num_threads() == 2 and seen == [2]


def test_a_model_says_the_same_with_one_thread_and_with_several(tiny_model):
    sentences = [["Marta", "Okafor", "left", "Rotterdam", "."][: 1 + number % 5] for number in range(40)]
    found = []
    for number in (1, 3):
        tagger = Tagger.load(tiny_model)
        torch.set_num_threads(number)
        found.append(np.concatenate(tagger.logits(sentences)))
    assert found[0] == pytest.approx(found[1], abs=1e-5)


def test_windows_of_unlike_length_are_read_apart_rather_than_padded_much():
    lengths = [35, 14, 16, 33, 15]
    assert list(batches(lengths, 256)) == [[0, 3, 2, 4, 1]]
    assert list(batches(lengths, 256, padding=10)) == [[0, 3], [2, 4, 1]]
    assert list(batches(lengths, 40, padding=10)) == [[0], [3], [2, 4], [1]]
    assert list(batches([], 256, padding=10)) == []
