"""Logits to probabilities, with a temperature, and these to the score of an entity; it travels with the model."""

from collections.abc import Sequence

import numpy as np

# Key in the model's config.json: what logits are divided by before the softmax, fitted on validation.
TEMPERATURE = "ner_temperature"


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Return probabilities [n, n_labels], float32, of logits [n, n_labels]; the order of the labels never changes."""
    scaled = logits.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(-1, keepdims=True, initial=-np.inf))
    return (powers / powers.sum(-1, keepdims=True)).astype(np.float32)


def log_probabilities(probabilities: np.ndarray) -> np.ndarray:
    """Return logarithms of probabilities, which ner.inference.decoding adds up; finite, also where a probability is
    0.
    """
    return np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))


def log_loss(logits: np.ndarray, gold: np.ndarray, temperature: float = 1.0) -> float:
    """Return the mean negative log probability of the gold tags, in nats per token. logits: [n, n_labels]; gold: [n]
    label ids.
    """
    scaled = logits.astype(np.float64) / temperature
    peak = scaled.max(-1)
    total = peak + np.log(np.exp(scaled - peak[:, None]).sum(-1))
    return float((total - scaled[np.arange(len(gold)), gold]).mean())


def span_score(probabilities: np.ndarray, start: int, end: int, entity_type: str, labels: Sequence[str]) -> float:
    """Return the probability that all tags of an entity are right, and that it ends where it ends.

    probabilities: [n_tokens, n_labels] of the sentence or paragraph; start, end: half-open, in tokens. The product of
    the probabilities of its tags (B-X, then I-X; where the labels lack one, of the most probable tags), and of the next
    token not going on with it. Of mean, least and product it was the best on held-out entities by Brier score and log
    loss; the tags are taken as independent of each other.
    """
    begin, inside = f"B-{entity_type}", f"I-{entity_type}"
    score = float(probabilities[start:end].max(-1).prod())
    if begin in labels and inside in labels:
        first, others = labels.index(begin), labels.index(inside)
        score = float(probabilities[start, first] * probabilities[start + 1 : end, others].prod())
    if end < len(probabilities) and inside in labels:
        score *= 1 - float(probabilities[end, labels.index(inside)])
    return score
