"""Promotions: what a version must show once it is champion, who was champion when, and which one to go back to.

A promotion is a person setting the alias `champion`; everything here follows from where that alias points and from the
entries of the history, which are only ever added. An entry is a tag of the registered model, `promotion.0007.3fa9c1d2`:
the number gives the order, the rest keeps two writers from overwriting each other.
"""

import json
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from ner.errors import NerError

PROMOTION, ROLLBACK, REMOVAL = "promotion", "rollback", "removal"
WARN, RESTORE = "warn", "restore"  # what a failed check does to the alias: nothing, or back to the last good version
GOLDEN_SENTENCES, GOLDEN_AT_MOST = 20, 400
REASON_LENGTH, TAG_LENGTH = 400, 5000  # TAG_LENGTH: what MLflow's databases keep of a tag
_KEY = re.compile(r"promotion\.(\d{4,})\.[0-9a-f]+")


class Ref(NamedTuple):
    """A version and when it was made (ms since the epoch): MLflow gives the number of a deleted version again."""

    version: int
    created: int


@dataclass(frozen=True)
class Check:
    """The result of one check. passed is None where an earlier one made it pointless."""

    name: str
    passed: bool | None
    reason: str


@dataclass(frozen=True)
class Entry:
    """One line of the history.

    before, after: where the alias pointed, and where it is now; champion: where it points when all is done,
    which is another one than `after` where a bad version was taken back. passed: of the checks; None for a removal.
    """

    when: str  # ISO 8601, UTC
    kind: str
    before: Ref | None
    after: Ref | None
    champion: Ref | None
    passed: bool | None
    checks: tuple[Check, ...]
    gate: str
    who: str
    action: str
    reason: str


def check_gate(tag: str | None) -> Check:
    """Check the version's tag `gate`; a version without it was never judged by the gate."""
    if tag is None:
        return Check("gate", False, "it never passed a gate: the pipeline gave it no tag 'gate'")
    return Check("gate", tag.startswith("passed"), f"its tag 'gate' says: {tag}")


def golden_size(document_ids: Sequence[int]) -> int | None:
    """Return how many first sentences make whole documents and at least GOLDEN_SENTENCES, or all there are.

    Only whole documents are read in the same windows again. None where that would be over GOLDEN_AT_MOST.
    """
    size = min(GOLDEN_SENTENCES, len(document_ids))
    while 0 < size < len(document_ids) and document_ids[size] == document_ids[size - 1]:
        size += 1
    return size if size <= GOLDEN_AT_MOST else None


def check_golden(tokens: Sequence[Sequence[str]], then: Sequence[Sequence[str]], now: Sequence[Sequence[str]]) -> Check:
    """Check that a few sentences get the tags that evaluation stored."""
    words = sum(map(len, tokens))
    if [len(tags) for tags in now] != [len(tags) for tags in tokens]:
        return Check("predictions", False, f"it gives no tag for some of the {words} words of the golden set")
    other = [
        (word, old, new)
        for sentence, olds, news in zip(tokens, then, now, strict=True)
        for word, old, new in zip(sentence, olds, news, strict=True)
        if old != new
    ]
    if not other:
        return Check("predictions", True, f"{len(tokens)} sentences, {words} words: the same tags as at evaluation")
    _, old, new = other[0]  # not the word: the corpus is not ours to show
    reason = f"{len(other)} of {words} words get other tags than at evaluation, the first {new} instead of {old}"
    return Check("predictions", False, reason)


def is_recorded(entries: Sequence[Entry], champion: Ref | None) -> bool:
    """Return whether the last entry has this version as champion. Without a history only the absence is known."""
    return champion == (entries[-1].champion if entries else None)


def last_good(entries: Iterable[Entry], other_than: Ref | None, is_there: Callable[[Ref], bool]) -> Ref | None:
    """Return the version that was champion last among the good ones that are still there, or None.

    Good: its last checks passed, and nobody rolled back from it since.
    """
    good: dict[Ref, bool] = {}
    for entry in entries:
        if entry.kind == ROLLBACK and entry.before:
            good[entry.before] = False
        if entry.after and entry.passed is not None:
            good.pop(entry.after, None)  # to the end: the order is that of being champion
            good[entry.after] = entry.passed
    candidates = (ref for ref in reversed(good) if good[ref] and ref != other_than)
    return next((ref for ref in candidates if is_there(ref)), None)


def to_tag(entry: Entry) -> str:
    """Return JSON of at most TAG_LENGTH characters; reasons that are too long are cut."""
    about = asdict(entry)
    for name in ("before", "after", "champion"):
        ref = getattr(entry, name)
        about[name] = ref and ref._asdict()
    for length in (REASON_LENGTH, 150, 40):
        for part in (about, *about["checks"]):
            part["reason"] = _cut(part["reason"], length)
        about |= {name: _cut(about[name], length) for name in ("gate", "who", "action")}
        text = json.dumps(about, ensure_ascii=False)
        if len(text) <= TAG_LENGTH:
            return text
    raise NerError("an entry of the promotion history is too long for a tag of MLflow.")


def new_key(tags: Mapping[str, str], unique: str) -> str:
    """Return the tag's name for the next entry; `unique`: hex digits that no other writer has."""
    numbers = [int(match[1]) for name in tags if (match := _KEY.fullmatch(name))]
    return f"promotion.{max(numbers, default=0) + 1:04d}.{unique}"


def read_history(tags: Mapping[str, str]) -> list[Entry]:
    """Return the entries among the tags of a registered model, oldest first; other tags are left out.

    Raises NerError for an entry that somebody has changed so that it cannot be read.
    """
    numbered = []
    for name, text in tags.items():
        if number := _KEY.fullmatch(name):
            entry = _parse(name, text)
            numbered.append((int(number[1]), entry.when, name, entry))
    return [entry for *_, entry in sorted(numbered, key=lambda item: item[:3])]


def sentence(model: str, entry: Entry) -> str:
    """Return what happened, in one sentence."""
    before = f"version {entry.before.version}" if entry.before else "no version"
    if entry.after is None:
        return f"the alias champion was taken from {model} {before}, so that no version is in use."
    after = f"{model} version {entry.after.version}"
    if entry.kind == ROLLBACK:
        return f"{after} is champion again, after {before}: {entry.reason.rstrip('.')}."
    if entry.passed:
        before = f", after {before}," if entry.before and entry.before != entry.after else ""
        return f"{after} is champion{before} and passed every check."
    failed = "; ".join(f"{check.name}: {check.reason}" for check in entry.checks if check.passed is False)
    return f"{after} was made champion and failed its checks ({failed}); {entry.action}."


def rows(entries: Sequence[Entry]) -> list[list[str]]:
    """Return the history as a table with a heading, newest entry first."""
    table = [["when (UTC)", "what", "from", "to", "checks", "champion", "who", "reason"]]
    for entry in reversed(entries):
        verdict = {True: "passed", False: "failed", None: "–"}[entry.passed]
        failed = ", ".join(check.name for check in entry.checks if check.passed is False)
        refs = [str(ref.version) if ref else "–" for ref in (entry.before, entry.after, entry.champion)]
        when = entry.when.removesuffix("+00:00").replace("T", " ")
        checks = f"{verdict}: {failed}" if failed else verdict
        table.append([when, entry.kind, *refs[:2], checks, refs[2], entry.who, entry.reason])
    return table


def _parse(name: str, text: str) -> Entry:
    try:
        about: dict[str, Any] = json.loads(text)
        for part in ("before", "after", "champion"):
            about[part] = None if about[part] is None else Ref(**about[part])
        about["checks"] = tuple(Check(**check) for check in about["checks"])
        return Entry(**about)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise NerError(
            f"the tag {name!r} of the registered model cannot be read: it holds the promotion history, so restore "
            "its value, or remove the tag."
        ) from None


def _cut(text: str, length: int) -> str:
    return textwrap.shorten(text, length, placeholder=" …")
