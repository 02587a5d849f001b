"""What may go: things that nothing needs and that are old. Whatever is not known for certain stays.

verdicts = judge(things, kept={"r-1": "ner/3 needs it"}, days=90)
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

DAY_S = 86400


@dataclass(frozen=True)
class Thing:
    """Something that takes room. size: bytes, age_s: since it was last used; None where nobody knows."""

    kind: str
    name: str
    size: int | None
    age_s: float | None
    about: str = ""  # what a reader knows it by


@dataclass(frozen=True)
class Verdict:
    """Whether a thing goes, and why it goes or stays."""

    thing: Thing
    goes: bool
    why: str


def judge(
    things: Iterable[Thing], kept: Mapping[str, str] | None, days: float | None, unknown: str = ""
) -> list[Verdict]:
    """A verdict on each thing of one kind.

    kept: names of what is needed, with the reason; None where that could not be found out, and `unknown` says why.
    days: so old a thing must be, since its last use; None keeps everything.
    """
    return [_verdict(thing, kept, days, unknown) for thing in things]


def families(parents: Mapping[str, str | None]) -> dict[str, str]:
    """The oldest ancestor of each name, by which those that belong together are known. parents: each one's parent."""
    found = {}
    for name in parents:
        top, seen = name, {name}
        while (above := parents.get(top)) and above not in seen:
            top = above
            seen.add(top)
        found[name] = top
    return found


def keep_families(kept: Mapping[str, str], parents: Mapping[str, str | None]) -> dict[str, str]:
    """`kept`, and everything that is in a family with one of them."""
    top = families(parents)
    why = {top[name]: reason for name, reason in kept.items() if name in top}
    return {**{name: f"in one group with a run: {why[top[name]]}" for name in parents if top[name] in why}, **kept}


def _verdict(thing: Thing, kept: Mapping[str, str] | None, days: float | None, unknown: str) -> Verdict:
    if days is None:
        return Verdict(thing, False, "params.yaml keeps all of its kind")
    if kept is None:
        return Verdict(thing, False, f"what needs it could not be found out: {unknown}")
    if thing.name in kept:
        return Verdict(thing, False, kept[thing.name])
    if thing.age_s is None:
        return Verdict(thing, False, "nobody knows how old it is")
    if thing.age_s <= days * DAY_S:
        return Verdict(thing, False, f"not older than {days:g} days")
    return Verdict(thing, True, f"nothing needs it, and it is {thing.age_s / DAY_S:.0f} days old")
