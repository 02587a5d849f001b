"""The card's first sections: what the model is, how good it is, what it is for and its limitations."""

from collections.abc import Iterable, Mapping
from typing import Any

from ner.card.facts import CardFacts, known, short_name
from ner.card.markdown import (
    MISSING,
    between,
    bullets,
    code,
    count,
    get,
    link,
    number,
    parse,
    percent,
    plain,
    shortened,
    text,
)

OPENING = {"loss": "Loss", "precision": "Precision", "recall": "Recall", "f1": "F1", "accuracy": "Accuracy"}
TYPES_IN_PROSE = 12
FEW = 50  # gold entities; a slice with fewer says little


def opening(facts: CardFacts) -> str:
    """Return the base model, the data and the results on the evaluation set, as the Trainer's cards begin."""
    base, manifest, ours = facts.training["base"], facts.manifest, facts.metrics["validation"]
    linked = link(short_name(known(base, "name")), base.get("url"))
    encoder = linked if base.get("name") else "an encoder whose name was not recorded"
    scores = [f"{title}: {number(ours[name])}" for name, title in OPENING.items() if ours.get(name) is not None]
    return (
        f"This model is a fine-tuned version of {encoder} on the "
        f"{link(short_name(manifest['source']), manifest.get('url'))} dataset.\n"
        f"It achieves the following results on the evaluation set:\n{bullets(scores)}\n\n{in_other_words(facts)}"
    )


def in_other_words(facts: CardFacts) -> str:
    """Return how the numbers above were counted, their confidence intervals, and those of the test split."""
    ours, theirs = facts.metrics["validation"], facts.metrics["test"]
    sure = f", {between(f1_interval(ours))} with {facts.confidence} confidence" if f1_interval(ours) else ""
    test = f" ({between(f1_interval(theirs))})" if f1_interval(theirs) else ""
    sentences = [
        f"The evaluation set is the validation split: {number(ours['support'])} entities, which count as found with "
        f"exactly their words and type, by {text(facts.gate['mode'])}.",
        f"F1 is {number(ours['f1'])}{sure}; on the test split, whose scores decide nothing, it is "
        f"**{number(theirs['f1'])}**{test}.",
    ]
    before = get(ours, "calibration", "loss_before")
    if before is not None:
        sentences.append(f"The loss is in nats a token, with calibrated scores; before calibration {number(before)}.")
    return " ".join(sentences)


def description(facts: CardFacts) -> str:
    """Return the model description: input, output and architecture."""
    base, types = facts.training["base"], [code(name) for name in facts.manifest["entity_types"]]
    window = facts.param("encoding.max_length")
    size = f" of at most {number(window)} subwords" if window else ""
    context = {
        "document": f"Consecutive sentences of a document share a window{size}, and are read with their neighbours.",
        "sentence": f"Each sentence is read alone, in a window{size}.",
    }.get(facts.context or "", "")
    temperature = facts.metrics.get("temperature")
    calibrated = (
        f"Scores are calibrated: the network's outputs are divided by the temperature {number(temperature)}, fitted on "
        "the validation split and kept in `config.json` as `ner_temperature`."
        if temperature is not None
        else ""
    )
    about = [known(base, "description")] if base.get("description") not in (None, base.get("name")) else []
    facts_of_encoder = "; ".join(text(fact) for fact in (*about, f"licence: {known(base, 'license')}"))
    inside = f"the encoder {text(short_name(known(base, 'name')))} ({facts_of_encoder})"
    named = f"It knows {count(len(types), 'type')}: {shortened(types, TYPES_IN_PROSE)}." if types else ""
    return "\n\n".join(
        part
        for part in (
            f"Named-entity recognition: text goes in, its entities come out, each with its type, its place and a score "
            f"between 0 and 1. {named or 'Its corpus names no type of entity.'}",
            f"Inside are {inside} and one linear layer, which gives every word an IOB2 tag; the first subword of a "
            f"word speaks for it. {context}".strip(),
            calibrated,
        )
        if part
    )


def uses(facts: CardFacts) -> str:
    """Return what the model is for, how to call it, and its limitations, with the numbers."""
    version = facts.registration.get("version")
    address = f"models:/{facts.model}/{version}" if version else f"models:/{facts.model}@challenger"
    window = facts.param("encoding.max_length")
    scored = "calibrated scores, offsets" if facts.metrics.get("temperature") is not None else "with offsets"
    longest = f" Text longer than {number(window)} subwords is cut into windows by the second." if window else ""
    return f"""It is meant for text like that of its corpus ({text(known(facts.manifest, "description"))}; language: \
{text(known(facts.manifest, "language"))}). On other kinds of text it has not been measured.

```python
from transformers import pipeline

find = pipeline("token-classification", model="models/release", aggregation_strategy="first")
find("Marta Okafor joined Helvion Steel in Rotterdam.")   # the network's own scores

import mlflow

mlflow.set_tracking_uri("sqlite:///mlflow/data/mlflow.db")   # in the checkout; of a server, its address
model = mlflow.pyfunc.load_model("{plain(address)}")
model.predict({{"text": ["Marta Okafor joined Helvion Steel in Rotterdam."]}})   # {scored}
```

The first form needs the folder alone and works with a copy of it anywhere.{longest}

Limitations:

{bullets(limitations(facts))}"""


def limitations(facts: CardFacts) -> Iterable[str]:
    """Yield the limitations, one line each, most important first."""
    ours, theirs = facts.metrics["validation"], facts.metrics["test"]
    wrong = 1 - (theirs.get("precision") or 0)
    if 0 < wrong < 1:
        yield (
            f"On test about one in {max(1, round(1 / wrong))} of the entities that it finds is wrong, and it misses "
            f"{percent(1 - theirs['recall'])} of those that are there: have a person look before anything that "
            "matters to somebody depends on it."
        )
    yield (
        f"F1 falls from {number(ours['f1'])} on validation to {number(theirs['f1'])} on test; text from elsewhere lies "
        "further from the training data than either."
        if theirs["f1"] < ours["f1"]
        else f"F1 is {number(ours['f1'])} on validation and {number(theirs['f1'])} on test; text from elsewhere lies "
        "further from the training data than either."
    )
    if line := weakest_type(theirs):
        yield line
    if line := weakest_slice(facts):
        yield line
    if line := context_line(facts):
        yield line
    yield "It knows the types of its corpus and no others; entities inside entities are not found."
    window = facts.param("encoding.max_length")
    if window:
        yield f"It was trained on windows of at most {number(window)} subwords; longer ones have not been measured."
    if facts.metrics.get("temperature") is not None:
        yield (
            "`pipeline` does not know the temperature, so its scores are those before calibration; no tag depends on "
            "it."
        )
    else:
        yield "Scores are those of the network as it is; they have not been calibrated."
    yield (
        "All scores here are of the best sequence of tags that is valid IOB2; `pipeline` takes the best tag of each "
        "token, so that it finds a few other entities."
    )


def weakest_type(scores: Mapping[str, Any]) -> str:
    """Return the type with the lowest F1 among those that occur."""
    rows = {name: row for name, row in scores.get("per_type", {}).items() if row.get("support")}
    if len(rows) < 2:
        return ""
    name, row = min(rows.items(), key=lambda item: (item[1]["f1"], item[0]))
    sure = f" ({between(row['interval'])})" if row.get("interval") else ""
    return f"Weakest type on test: {code(name)}, F1 {number(row['f1'])}{sure}, {number(row['support'])} entities."


def weakest_slice(facts: CardFacts) -> str:
    """Return the slice of test with the lowest F1 among those with enough entities."""
    rows = [row for row in facts.slices if row.get("split") == "test" and (parse(row.get("support")) or 0) >= FEW]
    rows = [row for row in rows if parse(row.get("f1")) is not None]
    if not rows:
        return ""
    row = min(rows, key=lambda row: parse(row["f1"]) or 0)
    return (
        f"Weakest slice on test: {text(row['slice'])} *{text(row['value'])}*, F1 {number(row['f1'])}, "
        f"{number(row['support'])} entities."
    )


def context_line(facts: CardFacts) -> str:
    """Return how scores change where the other kind of context is given than in training."""
    scores = facts.metrics["validation"]
    alone, together = get(scores, "sentence", "f1"), get(scores, "document", "f1")
    if facts.context == "document" and alone is not None:
        return (
            f"It was trained on sentences with their neighbours: given one sentence at a time, F1 on validation is "
            f"{number(alone)}. Send whole documents where you have them."
        )
    if facts.context == "sentence" and together is not None:
        return (
            f"It was trained on single sentences; with its neighbours in the window, F1 on validation is "
            f"{number(together)}."
        )
    return ""


def f1_interval(scores: Mapping[str, Any]) -> Any:
    """Return [low, high] of F1, or None."""
    interval = get(scores, "interval", "f1")
    return interval if between(interval) != MISSING else None
