"""Inference: texts or tokens in, entities out; all of it travels with every registered version."""
