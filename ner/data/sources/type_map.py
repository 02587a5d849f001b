"""Entity types of a corpus renamed or left out: `types` and `other_types` of catalog.yaml.

map_types(rows, {"PER": "person", "MISC": None}, "keep")      # MISC becomes O, and is passed to left_out
"""

from collections.abc import Callable, Iterable

from ner.data.conll import Sentence
from ner.errors import CatalogError
from ner.tags import Span, spans_to_tags, tags_to_spans

LEFT_OUT = "left out by types"  # the cause in the list of what was not kept
KEEP = "keep"
TypeMap = dict[str, str | None]


def check_types(types: TypeMap, present: Iterable[str], where: str) -> None:
    """Raise CatalogError where `types` names a type that no entity of the corpus has."""
    known = sorted(present)
    unknown = sorted(set(types) - set(known))
    if unknown:
        raise CatalogError(
            f"catalog.yaml, {where}, types: no entity is of the type {unknown[0]!r}; the types are {', '.join(known)}."
        )


def map_types(row: Sentence, types: TypeMap, other_types: str, left_out: Callable[[Sentence, Span], None]) -> Sentence:
    """Return the sentence with the new types; left_out is called with each entity that has none."""
    spans = tags_to_spans(row.tags)
    if not spans:
        return row
    new_spans = []
    for span in spans:
        new = types.get(span.type, span.type if other_types == KEEP else None)
        if new is None:
            left_out(row, span)
        else:
            new_spans.append(span._replace(type=new))
    return row._replace(tags=spans_to_tags(new_spans, len(row.tags)))
