"""Sentences to windows of subwords. This package travels with each registered model."""
