"""Detects the tag scheme of a corpus from its tags alone, with the reason."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ner.data.formats.schemes import LETTERS, OUTSIDE, PLAIN, PREFIXED, Tag, fault, parse_tag
from ner.errors import TagError

PREFERRED = ("IOB2", "IOB1", "BIOES", "BILOU", "BMES", "BMEWO", "IOE2")
MOST_TAGS = 20_000  # distinct ones; more are no tags
CLEARLY = 10  # times fewer faults than the next scheme has


class Detected(NamedTuple):
    """The scheme of a corpus. reason: one sentence with the counts that decided."""

    scheme: str
    reason: str


class Seen(NamedTuple):
    """How often something occurs, and where first."""

    times: int
    place: str


@dataclass
class Transitions:
    """How often each tag follows each other one, and where first, which is all that distinguishes schemes."""

    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    first: dict[tuple[str, str], str] = field(default_factory=dict)
    sentences: int = 0

    def add(self, tags: Sequence[str], place: Callable[[int], str]) -> None:
        """Count the tags of one sentence. place: of the tag with that index, for messages. Raises TagError for too many
        tags.
        """
        counts, known = self.counts, len(self.counts)
        self.sentences += 1
        pairs = list(zip(["O", *tags], [*tags, "O"], strict=True))
        for pair in pairs:
            counts[pair] = counts.get(pair, 0) + 1
        if len(counts) == known:
            return
        for index, pair in enumerate(pairs):
            if pair not in self.first:
                self.first[pair] = place(min(index, len(tags) - 1))
        if len(counts) > MOST_TAGS and len(self.tags()) > MOST_TAGS:
            raise TagError(f"{place(0)}: more than {MOST_TAGS:,} different tags, so these are no tags.")

    def tags(self) -> dict[str, Seen]:
        """Return the tags of entities, in the order in which they first occurred."""
        tags: dict[str, Seen] = {}
        for (previous, tag), count in self.counts.items():
            if tag != "O":
                known = tags.get(tag)
                place = self.first[previous, tag]
                tags[tag] = Seen(known.times + count, known.place) if known else Seen(count, place)
        return tags

    def totals(self) -> dict[str, Seen]:
        """Return every tag as it is written, O included, in the order in which they first occurred."""
        totals: dict[str, Seen] = {}
        for (previous, tag), count in self.counts.items():
            known = totals.get(tag, Seen(0, self.first[previous, tag]))
            totals[tag] = Seen(known.times + count, known.place)
        totals["O"] = Seen(totals.pop("O").times - self.sentences, "") if totals else Seen(0, "")  # less the edges
        return {tag: seen for tag, seen in totals.items() if seen.times}

    def rewritten(self, rule: Callable[[str], str]) -> "Transitions":
        """Return the same with every tag as `rule` writes it."""
        other = Transitions(sentences=self.sentences)
        for (previous, tag), count in self.counts.items():
            pair = (rule(previous), rule(tag))
            other.counts[pair] = other.counts.get(pair, 0) + count
            other.first.setdefault(pair, self.first[previous, tag])
        return other

    def pairs(self) -> dict[tuple[str, str], Seen]:
        """Return how often each pair of neighbouring tags occurs, and where first."""
        return {pair: Seen(count, self.first[pair]) for pair, count in self.counts.items()}


def detect_scheme(seen: Transitions, default_type: str | None = None) -> Detected:
    """Return the scheme that explains all tags, or nearly all, where one does so clearly better than any other.

    Raises TagError, which names places and what to do, where prefixes are mixed or no scheme is clearly the best.
    """
    named = seen.tags()
    if not named:
        return Detected("IOB2", "every tag is O, so any scheme reads the same")
    if _is_plain(named):
        return Detected(PLAIN, f"{len(named)} tags without a prefix, such as {next(iter(named))!r}")
    letters = {match["letter"] for match in map(PREFIXED.fullmatch, named) if match}
    if letters == {"I"} and not any(_faults(seen, "IOB1", default_type)):
        return Detected("IO", "every entity has I- alone: IO, or IOB1 without adjoining entities, which reads the same")
    fitting = [name for name in PREFERRED if letters <= set(LETTERS[name]) | ({"B"} if name == "IOB1" else set())]
    if not fitting:
        raise TagError(
            f"the prefixes {', '.join(sorted(letters))} belong to no tag scheme known here ({', '.join(PREFERRED)}, "
            f"IO, PLAIN); the first of each is at {_first_places(named, letters)}."
        )
    faults = {name: _faults(seen, name, default_type) for name in fitting}
    return _best(faults, seen)


def _is_plain(named: dict[str, Seen]) -> bool:
    prefixed = [tag for tag in named if PREFIXED.fullmatch(tag)]
    bare_letters = [tag for tag in prefixed if len(tag) == 1]
    if not prefixed or (len(bare_letters) == len(named) and not _is_one_scheme(bare_letters)):
        return True
    if len(prefixed) == len(named):
        return False
    other = next(tag for tag in named if tag not in prefixed)
    raise TagError(
        f"{named[other].place}: tag {other!r} ({named[other].times} times) has no prefix, but {prefixed[0]!r} at "
        f"{named[prefixed[0]].place} has one: write 'B-{other}' or the like, or name the scheme "
        f"{PLAIN} if the whole tag is the type."
    )


def _is_one_scheme(letters: Iterable[str]) -> bool:
    return any(set(letters) <= set(scheme) for scheme in LETTERS.values())


def _faults(seen: Transitions, scheme: str, default_type: str | None) -> list[tuple[Seen, str]]:
    """Return the pairs of tags that the scheme does not allow, each with what is wrong."""
    faults = []
    for (previous, tag), pair in seen.pairs().items():
        before, now = (parse_tag(t, scheme, default_type or "TYPE") for t in (previous, tag))
        if wrong := fault(before, now, scheme):
            faults.append((pair, wrong.reason))
        elif scheme == "IOB1" and _is_needless(before, now):
            faults.append((pair, f"'B-{now.type}' starts an entity that follows none of its type"))
    return faults


def _is_needless(before: Tag, now: Tag) -> bool:
    return now.letter == "B" and (before == OUTSIDE or before.type != now.type)


def _best(faults: dict[str, list[tuple[Seen, str]]], seen: Transitions) -> Detected:
    counts = {name: sum(pair.times for pair, _ in pairs) for name, pairs in faults.items()}
    order = sorted(counts, key=lambda name: counts[name])  # stable: the preferred one first among equals
    best, others = order[0], order[1:]
    total = sum(pair.times for pair in seen.tags().values())
    ruled_out = "".join(f"; {_reason(name, faults[name], counts[name])}" for name in others[:1] if counts[name])
    if not counts[best]:
        return Detected(best, f"{total:,} tags in entities, none against {best}{ruled_out}")
    if all(counts[best] * CLEARLY <= counts[name] for name in others):
        return Detected(best, f"{total:,} tags in entities; {_reason(best, faults[best], counts[best])}{ruled_out}")
    reasons = "; ".join(_reason(name, faults[name], counts[name]) for name in order)
    raise TagError(f"the tags fit no scheme clearly: {reasons}. Name the scheme that is meant, or correct the tags.")


def _reason(name: str, pairs: list[tuple[Seen, str]], count: int) -> str:
    pair, reason = pairs[0]
    return f"{count:,} against {name} (first {pair.place}: {reason})"


def _first_places(named: dict[str, Seen], letters: set[str]) -> str:
    first: dict[str, str] = {}
    for tag, pair in named.items():
        first.setdefault(tag[0], f"{pair.place} ({tag!r})")
    return ", ".join(first[letter] for letter in sorted(letters))
