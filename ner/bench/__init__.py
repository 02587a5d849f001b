"""`ner bench`: how fast prediction, training and pipeline are."""
