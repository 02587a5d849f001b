"""The model card in Markdown, rendered from the reports; nothing is left to fill in later.

text = render(CardFacts(model="ner", training=..., manifest=..., metrics=..., history=..., gate=..., ...))
short = summary(facts)      # the same in 5,000 characters, for places that hold no more

Its sections are those of the cards that transformers' Trainer makes, in their order and form, all of them filled; then
what such a card lacks. Parts: facts, text (markdown), and a module for each group of sections.
"""

import math
import re
from typing import Any

from ner.card.data import data, data_lines
from ner.card.evaluation import evaluation, how_sure, scores, types_of
from ner.card.facts import SPLITS, CardFacts, short_name
from ner.card.markdown import bullets, compact, plain, text
from ner.card.overview import OPENING, description, in_other_words, limitations, opening, uses
from ner.card.trace import beside_public, origin, reproduction, trace, verdict
from ner.card.training import cost, procedure
from ner.evaluation.gate import headline, reasons

__all__ = ["DESCRIPTION_LIMIT", "CardFacts", "render", "summary"]

DESCRIPTION_LIMIT = 5000  # characters that MLflow's tables hold on every database
TYPES_IN_SUMMARY, RULES_IN_SUMMARY = 12, 16
LANGUAGE = re.compile(r"[a-z]{2,3}|multilingual|code")  # what the hub takes
SECTIONS = {
    "Model description": description,
    "Intended uses & limitations": uses,
    "Training and evaluation data": data,
    "Training procedure": procedure,
    "Evaluation": evaluation,
    "Gate": verdict,
    "Beside the public card": beside_public,
    "Environmental cost": cost,
    "How to make it again": reproduction,
    "Trace": trace,
}


def render(facts: CardFacts) -> str:
    """Return the whole card: the hub's metadata (with a model index), then the sections."""
    from huggingface_hub import ModelCard

    body = "\n\n".join(f"## {title}\n\n{write(facts)}" for title, write in SECTIONS.items())
    card = ModelCard(f"---\n{metadata(facts)}\n---\n\n# {text(facts.model)}\n\n{opening(facts)}\n\n{body}\n")
    return str(card)


def summary(facts: CardFacts, limit: int = DESCRIPTION_LIMIT) -> str:
    """Return what a person needs to promote a version, most important first, cut between parts at `limit`
    characters.
    """
    end = "\n\nThe whole card is `reports/card.md` among the run's artifacts."
    parts = [
        opening(facts),
        f"#### Gate\n\n{gate(facts)}",
        f"#### Scores\n\n{how_sure(facts)}\n\n{scores(facts)}",
        f"#### Origin\n\n{origin(facts)}",
        *(f"#### By entity type, {split}\n\n{types_of(facts, split, TYPES_IN_SUMMARY)}" for split in SPLITS),
        f"#### Limitations\n\n{bullets(limitations(facts))}",
        f"#### Data\n\n{bullets(data_lines(facts))}",
    ]
    chosen: list[str] = []
    for part in map(compact, parts):
        if sum(map(len, chosen)) + 2 * len(chosen) + len(part) + len(end) <= limit:
            chosen.append(part)
    return "\n\n".join(chosen or [in_other_words(facts)[: limit - len(end)]]) + end


def gate(facts: CardFacts) -> str:
    """Return the verdict with the reasons of as many rules as a summary has room for, failed ones first."""
    lines = [text(reason) for reason in reasons(facts.gate)]
    left = [f"{len(lines) - RULES_IN_SUMMARY:,} more"] if len(lines) > RULES_IN_SUMMARY else []
    return f"{headline(facts.gate)}.\n\n{bullets(lines[:RULES_IN_SUMMARY] + left)}"


def metadata(facts: CardFacts) -> str:
    """Return the YAML block that the hub reads, with the scores as a model index."""
    from huggingface_hub import ModelCardData

    language = plain(facts.manifest.get("language"))
    card = ModelCardData(
        model_name=facts.model,
        base_model=facts.training["base"].get("hub_id"),  # the hub takes nothing else for it
        datasets=[dataset_id(facts)],
        language=language if LANGUAGE.fullmatch(language) else None,
        library_name="transformers",
        license="other",  # the encoder's licence and the corpus's both bind; the sections name them
        license_name="encoder-and-corpus",
        metrics=["precision", "recall", "f1", "accuracy"],
        pipeline_tag="token-classification",
        tags=["token-classification", "named-entity-recognition"],
        eval_results=eval_results(facts),
    )
    return card.to_yaml()


def eval_results(facts: CardFacts) -> list[Any]:
    """Return a result for each split and measure, as the model index of the Trainer's cards has them."""
    from huggingface_hub import EvalResult

    name = dataset_id(facts)
    config = "conll2003" if facts.is_public_corpus else None  # the one configuration that it has on the hub
    return [
        EvalResult(
            task_type="token-classification",
            task_name="Token Classification",
            dataset_type=name,
            dataset_name=name,
            dataset_config=config,
            dataset_args=config,  # type: ignore[arg-type]  # a name, as in the cards of transformers
            dataset_split=split,
            dataset_revision=facts.manifest.get("revision") or None,
            metric_type=measure,
            metric_name=OPENING[measure],
            metric_value=facts.metrics[split][measure],
        )
        for split in SPLITS
        for measure in ("precision", "recall", "f1", "accuracy", "loss")
        if is_finite(facts.metrics[split].get(measure))
    ]


def dataset_id(facts: CardFacts) -> str:
    """Return the id of the corpus on the hub where it comes from there, else the name that it has here."""
    manifest = facts.manifest
    name = manifest.get("origin") if manifest.get("kind") == "hub" else manifest["source"]
    return short_name(plain(name or manifest["source"]).partition("@")[0])


def is_finite(value: Any) -> bool:
    """Whether a value is a number that YAML and readers can hold."""
    return isinstance(value, int | float) and math.isfinite(value)
