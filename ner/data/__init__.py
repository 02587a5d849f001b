"""The prepared corpus and what a model predicts of it."""
