"""Corpora and encoders from the catalogue, wheels, the hub and files; and their manifest."""
