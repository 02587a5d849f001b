"""Distillation: what a model learns from teachers, and that nothing of it stays in the model."""

import copy

import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import AutoModelForTokenClassification

from tasks.teaching import SHARE, Teaching
from tasks.trainer import token_loss

LABELS = ["O", "B-PER", "I-PER"]


@pytest.fixture(scope="module")
def models(untrained, tmp_path_factory):
    """A pupil and the folders of two teachers with heads of their own."""
    folders = [untrained(tmp_path_factory.mktemp("model") / name, LABELS) for name in ("pupil", "one", "two")]
    for number, folder in enumerate(folders):
        model = AutoModelForTokenClassification.from_pretrained(folder)
        torch.manual_seed(number)
        torch.nn.init.normal_(model.classifier.weight)
        model.save_pretrained(folder)
    return AutoModelForTokenClassification.from_pretrained(folders[0]), folders[1:]


BATCH = {
    "input_ids": torch.tensor([[2, 9, 12, 3], [2, 15, 3, 0]]),
    "attention_mask": torch.tensor([[1] * 4, [1, 1, 1, 0]]),
}
TAGS = torch.tensor([[-100, 1, 2, -100], [-100, 0, -100, -100]])


def gradients(model):
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_the_gradient_is_that_of_the_tags_and_of_the_teachers_probabilities(models):
    pupil, folders = models
    alone, taught = copy.deepcopy(pupil).train(), copy.deepcopy(pupil).train()
    for model in (alone, taught):
        for part in model.modules():
            part.p = 0.0 if isinstance(part, torch.nn.Dropout) else getattr(part, "p", None)
    with torch.no_grad():
        teachers = [AutoModelForTokenClassification.from_pretrained(folder).eval() for folder in folders]
        wanted = torch.stack([teacher(**BATCH).logits.softmax(-1) for teacher in teachers]).mean(0)
    logits, has_tag = alone(**BATCH).logits, TAGS >= 0
    soft = cross_entropy(logits[has_tag], wanted[has_tag])
    ((1 - SHARE) * cross_entropy(logits[has_tag], TAGS[has_tag]) + SHARE * soft).backward()

    callback = Teaching(folders)
    callback.on_train_begin(None, None, None, model=taught)
    copied = copy.deepcopy(taught)  # as the bf16 copy of a training is made
    token_loss(0.0)(copied(**BATCH), TAGS).backward()
    found = gradients(copied)
    for name, gradient in gradients(alone).items():
        assert torch.allclose(found[name], gradient, atol=1e-6), name


def test_a_model_that_is_read_has_no_teachers(models):
    pupil, folders = models
    read = copy.deepcopy(pupil).eval()
    callback = Teaching(folders)
    callback.on_train_begin(None, None, None, model=read)
    callback.teachers = None  # would fail
    assert torch.equal(read(**BATCH).logits, pupil.eval()(**BATCH).logits)
