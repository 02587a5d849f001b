"""`ner batch`: the entities of many texts."""
