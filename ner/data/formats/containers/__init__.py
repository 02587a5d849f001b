"""Readers of the kinds of files that records are in, each a generator of places and records."""
