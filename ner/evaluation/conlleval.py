"""The report of the script conlleval, from the counts of seqeval's default mode.

An entity is correct where its first token, its last token and its type are those of a gold entity. Our own code; the
tests compare it with the output of the script, version 2004-01-26.
Source: Tjong Kim Sang and Buchholz, CoNLL-2000 (W00-0726); Tjong Kim Sang and De Meulder, CoNLL-2003 (W03-0419).
"""

from collections.abc import Iterator

from ner.evaluation.counts import Counts, EntityCounts


def report(counts: EntityCounts) -> str:
    """Return the text that conlleval prints for these counts, percents and all; in UTF-8 it is equal byte for byte.

    A line of a type ends with the number of its *predicted* entities. No line of rates is printed without tokens.
    """
    all_types = sum(counts.default.values(), Counts())
    lines = [
        f"processed {counts.tokens} tokens with {all_types.gold} phrases; "
        f"found: {all_types.predicted} phrases; correct: {all_types.correct}."
    ]
    if counts.tokens:
        accuracy = _percent(counts.correct_tokens, counts.tokens)
        lines.append(f"accuracy: {accuracy:6.2f}%; {_rates(all_types)}")
    for name, own in _lines_of_types(counts.default):
        padding = " " * (17 - len(name.encode()))  # the script pads bytes, not characters
        lines.append(f"{padding}{name}: {_rates(own)}  {own.predicted}")
    return "\n".join(lines) + "\n"


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 0.0


def _rates(counts: Counts) -> str:
    # Counted in percents from the start, as the script does: other roundings could differ in the last digit.
    precision, recall = _percent(counts.correct, counts.predicted), _percent(counts.correct, counts.gold)
    f1 = 2 * precision * recall / (precision + recall) if counts.correct else 0.0
    return f"precision: {precision:6.2f}%; recall: {recall:6.2f}%; FB1: {f1:6.2f}"


def _lines_of_types(per_type: dict[str, Counts]) -> Iterator[tuple[str, Counts]]:
    """Yield name and counts of each line. "0" is false in Perl, so the script prints that type without its name, before
    all others, and twice where gold and prediction both have it.
    """
    nameless = per_type.get("0")
    if nameless:
        yield from [("", nameless)] * (2 if nameless.gold and nameless.predicted else 1)
    yield from ((name, counts) for name, counts in per_type.items() if name != "0")
