"""What an epoch reads: neighbours together, a share of them sentence by sentence, every token once."""

import random

import pytest

from ner.encoding.tokenizer import load_tokenizer
from ner.training.windows import TrainingWindows

SENTENCES = [["Marta", "Okafor", "joined", "Helvion", "."], ["She", "left", "."], ["In", "Rotterdam", "."]] * 8
SENTENCES[5] = ["Rotterdam"] * 40  # longer than a window
DOCUMENTS = [index // 6 for index in range(len(SENTENCES))]


@pytest.fixture(scope="module")
def tokenizer(tiny_encoder):
    return load_tokenizer(tiny_encoder)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_an_epoch_reads_every_token_once(tokenizer, share):
    found = TrainingWindows(tokenizer, SENTENCES, DOCUMENTS, 48, share)
    for seed in range(3):
        picked = found.pick(random.Random(seed))
        assert sum(len(found.windows[index].positions) for index in picked) == sum(map(len, SENTENCES))


def test_the_share_is_of_the_packed_windows_and_drawn_anew(tokenizer):
    found = TrainingWindows(tokenizer, SENTENCES, DOCUMENTS, 48, 0.5)
    one, two = (found.pick(random.Random(seed)) for seed in (1, 2))
    together = [sum(index < found.packed for index in picked) for picked in (one, two)]
    assert together == [found.packed - round(found.packed / 2)] * 2
    assert one != two


def test_all_sentences_alone_are_the_windows_of_the_sentences(tokenizer):
    found = TrainingWindows(tokenizer, SENTENCES, DOCUMENTS, 48, 1.0)
    alone = TrainingWindows(tokenizer, SENTENCES, None, 48, 0.0)
    assert [found.windows[index] for index in found.pick(random.Random(0))] == alone.windows
