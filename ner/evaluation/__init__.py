"""Evaluation of a model: scores, confidence intervals, mistakes and the gate."""
