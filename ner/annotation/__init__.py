"""`ner annotate` and `ner corrections`: documents to annotate next, and annotations back."""
