"""The language of a corpus by its text: py3langid, whose model is in its package, so that nothing is fetched."""

UNKNOWN = "unknown"
LEAST = 0.5  # the probability under which no language is named
RULES = {"no": "nb"}  # of which spaCy has the rules, by which texts are cut
NO_LANGUAGE = "zxx"  # what py3langid calls names, numbers and codes


def guess_language(text: str) -> str:
    """Return the ISO 639 code of the language that a text is in, `unknown` where none stands out."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # a second to load

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    language, probability = identifier.classify(text)
    return RULES.get(language, language) if probability >= LEAST and language != NO_LANGUAGE else UNKNOWN
