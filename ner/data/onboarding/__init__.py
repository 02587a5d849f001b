"""`ner new-data`: recognises annotated text and enters it in the catalogue."""
