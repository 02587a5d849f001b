"""The domain of named-entity recognition: corpus, tags, spans, encoding, scoring, gate rules, card, parameters.

Nothing here knows Prefect, DVC, MLflow or the clock; the stages in `tasks/` do the reading and writing.
"""
