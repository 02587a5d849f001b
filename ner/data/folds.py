"""The folds of a cross-validation, by documents.

folds = fold_of_sentences(pooled(training, validation), labels, params.split)
"""

from collections.abc import Sequence

import numpy as np

from ner.data.conll import Sentence
from ner.data.entities import unit_numbers
from ner.data.prepared import Split, to_tags
from ner.data.sources.splits import divide_in_folds
from ner.params import SplitParams


def fold_of_sentences(pool: Split, labels: Sequence[str], params: SplitParams) -> np.ndarray:
    """Return the fold of each sentence, from 0; those of a document are in one. Raises CorpusError."""
    units, _ = unit_numbers(pool.document_ids)
    documents: list[list[Sentence]] = [[] for _ in range(int(units.max(initial=-1)) + 1)]
    for unit, tokens, tags in zip(units, pool.tokens, to_tags(pool.tag_ids, labels), strict=True):
        documents[unit].append(Sentence(int(unit), tokens, tags, 0))
    return np.array(divide_in_folds(documents, params.folds, params.seed), int)[units]
