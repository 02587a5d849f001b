"""`ner serve`: a model version over HTTP."""
