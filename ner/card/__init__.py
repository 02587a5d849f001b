"""The model card in Markdown, rendered from the reports; nothing is left to fill in later.

text = render(CardFacts(model="ner", training=..., manifest=..., metrics=..., history=..., gate=..., ...))
short = summary(facts)      # the same in 5,000 characters, for places that hold no more

Its sections are those of the cards that transformers' Trainer makes, in their order and form, all of them filled; then
what such a card lacks. The words are in card_templates, what they need beside the facts in ner.card.values.
"""

import math
import re
from typing import Any

from ner.card.facts import SPLITS, CardFacts, short_name
from ner.card.markdown import compact, plain
from ner.card.values import OPENING, fill

__all__ = ["DESCRIPTION_LIMIT", "CardFacts", "render", "summary"]

DESCRIPTION_LIMIT = 5000  # characters that MLflow's tables hold on every database
LANGUAGE = re.compile(r"[a-z]{2,3}|multilingual|code")  # what the hub takes


def render(facts: CardFacts) -> str:
    """Return the whole card: the hub's metadata (with a model index), then the sections."""
    from huggingface_hub import ModelCard

    return str(ModelCard(f"---\n{metadata(facts)}\n---\n\n{fill('card.md.j2', facts)}\n"))


def summary(facts: CardFacts, limit: int = DESCRIPTION_LIMIT) -> str:
    """Return what a person needs to promote a version, most important first, in at most `limit` characters."""
    end = "\n\nThe whole card is `reports/card.md` among the run's artifacts."
    parts = re.split(r"\n\n(?=#### )", compact(fill("summary.md.j2", facts)))
    chosen: list[str] = []
    for part in parts:
        if sum(map(len, chosen)) + 2 * len(chosen) + len(part) + len(end) <= limit:
            chosen.append(part)
    return "\n\n".join(chosen or [parts[0][: limit - len(end)]]) + end


def metadata(facts: CardFacts) -> str:
    """Return the YAML block that the hub reads, with the scores as a model index."""
    from huggingface_hub import EvalResult, ModelCardData

    language, manifest = plain(facts.manifest.get("language")), facts.manifest
    origin = manifest.get("origin") if manifest.get("kind") == "hub" else None
    dataset = short_name(plain(origin or manifest["source"]).partition("@")[0])
    config = "conll2003" if facts.is_public_corpus else None  # the one configuration that it has on the hub
    results = [
        EvalResult(
            task_type="token-classification",
            task_name="Token Classification",
            dataset_type=dataset,
            dataset_name=dataset,
            dataset_config=config,
            dataset_args=config,  # type: ignore[arg-type]  # a name, as in the cards of transformers
            dataset_split=split,
            dataset_revision=manifest.get("revision") or None,
            metric_type=measure,
            metric_name=OPENING[measure],
            metric_value=facts.metrics[split][measure],
        )
        for split in SPLITS
        for measure in ("precision", "recall", "f1", "accuracy", "loss")
        if _is_finite(facts.metrics[split].get(measure))
    ]
    card = ModelCardData(
        model_name=facts.model,
        base_model=facts.training["base"].get("hub_id"),  # the hub takes nothing else for it
        datasets=[dataset],
        language=language if LANGUAGE.fullmatch(language) else None,
        library_name="transformers",
        license="other",  # the encoder's licence and the corpus's both bind; the sections name them
        license_name="encoder-and-corpus",
        metrics=["precision", "recall", "f1", "accuracy"],
        pipeline_tag="token-classification",
        tags=["token-classification", "named-entity-recognition"],
        eval_results=results,
    )
    return card.to_yaml()


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
