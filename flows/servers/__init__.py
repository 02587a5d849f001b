"""The servers that `ner up` starts, and the watch of promotions."""
