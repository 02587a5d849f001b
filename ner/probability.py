"""Logits to probabilities, with a temperature; numpy alone, since it travels with the model."""

import numpy as np

# Key in the model's config.json: what logits are divided by before the softmax, fitted on validation.
TEMPERATURE = "ner_temperature"


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Probabilities [n, n_labels], float32, of logits [n, n_labels]; the order of the labels never changes."""
    scaled = logits.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(-1, keepdims=True, initial=-np.inf))
    return (powers / powers.sum(-1, keepdims=True)).astype(np.float32)


def log_loss(logits: np.ndarray, gold: np.ndarray, temperature: float = 1.0) -> float:
    """Mean negative log probability of the gold tags, in nats a token. logits: [n, n_labels]; gold: [n] label ids."""
    scaled = logits.astype(np.float64) / temperature
    peak = scaled.max(-1)
    total = peak + np.log(np.exp(scaled - peak[:, None]).sum(-1))
    return float((total - scaled[np.arange(len(gold)), gold]).mean())
