"""What a split shares with what its model was trained on: mentions of entities, and whole sentences.

known, shared = read_training(Path("data/prepared"), {"validation": outline.distinct})
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ner.data.entities import entity_table
from ner.data.fingerprint import distinct_sentences
from ner.data.predictions import read_prediction_parts
from ner.data.prepared import read_manifest, read_parts, to_tags
from ner.evaluation.slices import Mentions, known_mentions
from ner.evaluation.split_scores import Outline


def read_training(prepared: Path, distinct: Mapping[str, set[bytes]]) -> tuple[Mentions, dict[str, float]]:
    """Return the mentions of the training split with their types, and the share, 0 to 1, of sentences that are in it
    too.

    distinct: those of each split (ner.data.fingerprint.distinct_sentences); 0 of none.
    """
    labels = read_manifest(prepared)["labels"]
    known: Mentions = {}
    shared: dict[str, set[bytes]] = {name: set() for name in distinct}
    for part in read_parts(prepared, "train"):
        known_mentions(part.tokens, entity_table(to_tags(part.tag_ids, labels)), known)
        seen = distinct_sentences(part.tokens)
        for name, own in distinct.items():
            shared[name] |= own & seen
    return known, {name: len(shared[name]) / len(own) if own else 0.0 for name, own in distinct.items()}


def read_other_folds(folder: Path, outlines: Mapping[str, Outline]) -> tuple[list[Mentions], dict[str, float]]:
    """Return the mentions that each fold's model was trained on, those of the other folds, and last the mentions of all
    folds; and the shares of read_training. Of validation it is that of the sentences which stand in several folds.
    """
    folds, done = outlines["validation"].folds, 0
    assert folds is not None
    known: list[Mentions] = [{} for _ in range(int(folds.max()) + 2)]
    sentences: list[set[bytes]] = [set() for _ in known[1:]]
    for part in read_prediction_parts(folder, "validation"):
        own, gold = folds[done : done + len(part.tokens)], entity_table(part.gold)
        done += len(own)
        for fold, mentions in enumerate(known):
            known_mentions(part.tokens, gold[own[gold["sentence"]] != fold], mentions)
        for fold, distinct in enumerate(sentences):
            distinct |= distinct_sentences(part.tokens[index] for index in np.flatnonzero(own == fold))
    places = Counter(sentence for distinct in sentences for sentence in distinct)
    several = sum(count > 1 for count in places.values())
    test = outlines["test"].distinct
    shares = {"validation": several / max(1, len(places)), "test": len(test & places.keys()) / max(1, len(test))}
    return known, shares
