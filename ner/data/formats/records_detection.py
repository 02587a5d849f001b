"""Detects the layout of records: the tool that wrote them, and which fields hold tokens, tags, text and spans."""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from ner.data.formats.columns_detection import NAMES, tag_columns
from ner.data.formats.containers.arrow_tables import label_names
from ner.data.formats.containers.csv_files import csv_rows, csv_separator
from ner.data.formats.format import (
    DOCUMENTS,
    SENTENCES,
    SEPARATORS,
    TAGS,
    TOKENS,
    Format,
    Unrecognised,
    is_most,
    named_like,
    one_of,
)
from ner.data.formats.record_files import ARROW, CSV, JSON, PARQUET, container, records
from ner.data.formats.schemes import PREFIXED
from ner.data.formats.span_records import span_items, spans_in
from ner.data.formats.text_files import first_lines
from ner.data.formats.token_spans import token_spans_form
from ner.errors import CorpusError

SAMPLE = 200  # records
MANY_TYPES = 40  # in a sample
ROWS = 5_000  # of a CSV file with a token a row
TEXTS = ("text", "content", "sentence", "document", "body", "data", "source")
SPANS = ("spans", "entities", "label", "labels", "annotations", "ents", "annotation")
USUAL_TAGS = ("NE-COARSE-LIT",)  # of several columns with tags, beside names with "ner"


def records_form(path: Path, options: dict[str, Any]) -> tuple[Format, list[str]]:
    """Return the format of one file, without its tag scheme, and the evidence for it; `options` override what is
    detected.

    Raises Unrecognised where the records hold neither tokens with tags nor texts, CorpusError where two fields could be
    the tags.
    """
    encoding = options.get("encoding", "utf-8")
    kind = container(path)
    separator = options.get("separator") or (csv_separator(path, encoding) if kind == CSV else None)
    if kind == CSV and (result := rows_form(path, {**options, "separator": separator})):
        return result
    sample = [record for _, record in islice(records(path, encoding, separator), SAMPLE)]
    if not sample:
        raise Unrecognised(f"{path.name} holds no record")
    seen = [f"{kind} records" + (" on lines or in an array" if kind == JSON else "")]
    fields = _record_form(sample, path, options, seen)
    fields |= {"encoding": encoding, "separator": separator}
    return Format(**{**fields, **{key: value for key, value in options.items() if value is not None}}), seen


def has_known_header(path: Path, encoding: str) -> bool:
    """Whether a file of text begins with names of columns that hold tokens and tags."""
    first, second = [*islice(first_lines(path, encoding), 2), "", ""][:2]
    for mark in [] if second.startswith("#") and "\t" not in second else SEPARATORS.values():
        names = first.split(mark)
        tokens = named_like(names, TOKENS)
        if tokens and mark != " " and any(NAMES.fullmatch(name.strip()) for name in names if name != tokens):
            return True
    return False


def token_rows_form(path: Path, options: dict[str, Any]) -> tuple[Format, list[str]]:
    """Return the format of a CSV file with a token per row. Raises Unrecognised for any other file."""
    separator = options.get("separator") or csv_separator(path, options.get("encoding", "utf-8"))
    result = rows_form(path, {**options, "separator": separator})
    if result is None:
        raise Unrecognised(f"{path.name} has no two columns of tokens and tags: name tokens_field and tags_field")
    return result


def rows_form(path: Path, options: dict[str, Any]) -> tuple[Format, list[str]] | None:
    """Return the format of a CSV file with a token per row; None where its cells hold whole sentences or lists."""
    encoding, separator = options.get("encoding", "utf-8"), options["separator"]
    quotes = options.get("quotes", not _has_bare_quotes(path, encoding, separator))
    sample = [row for _, row in islice(csv_rows(path, encoding, separator, None, quotes), ROWS)]
    names = list(sample[0]) if sample else []
    is_headless = names[:1] == ["1"]
    words = [n for n in names if is_headless and not _is_count_or_tag([row[n] for row in sample if row[n]])]
    tokens = options.get("tokens_field") or named_like(names, TOKENS) or next(iter(words), None)
    tags = options.get("tags_field") or _tag_field(sample, [n for n in names if n != tokens], path)
    if not tokens or not tags or tokens not in names or not _are_single(sample, tags):
        return None
    sentence = options.get("sentence_field") or named_like([n for n in names if n not in (tokens, tags)], SENTENCES)
    document = options.get("document_field") or named_like(
        [n for n in names if n not in (tokens, tags, sentence)], DOCUMENTS
    )
    seen = [f"CSV with columns {', '.join(names)} separated by {separator}: tokens in {tokens!r}, tags in {tags!r}"]
    seen.append(f"sentences by column {sentence!r}" if sentence else "sentences end at empty rows")
    if is_headless:
        seen.append("the first row has a tag, so there is no header, and columns are called by their number")
    if not quotes:
        seen.append("quotation marks that are tokens, so none of them encloses a cell")
    fields: dict[str, Any] = {
        "tokens_field": tokens,
        "tags_field": tags,
        "sentence_field": sentence,
        "document_field": document,
    }
    fields["quotes"] = quotes
    rest = {key: value for key, value in options.items() if key not in fields}
    return Format("token-rows", **fields, **{"documents": "document" if document else None, **rest}), seen


def _is_count_or_tag(cells: Sequence[str]) -> bool:
    return all(cell.isdecimal() for cell in cells) or all(cell == "O" or PREFIXED.fullmatch(cell) for cell in cells)


def _has_bare_quotes(path: Path, encoding: str, separator: str) -> bool:
    """Whether a quotation mark alone is a cell, which a writer that quotes would have doubled and enclosed.

    Where commas separate, cells with a comma are quoted, so that this cannot be told from a line cut at commas.
    """
    if separator in ("comma", "semicolon"):
        return False
    return any('"' in line.split(SEPARATORS[separator]) for line in first_lines(path, encoding))


def _are_single(sample: Sequence[dict[str, str]], field: str) -> bool:
    return all(len(row[field].split()) <= 1 and not row[field].startswith("[") for row in sample)


def _tag_field(sample: Sequence[dict[str, str]], names: Sequence[str], path: Path) -> str | None:
    values = {name: Counter(row[name] for row in sample if row[name]) for name in names}
    return _one_field({name: values[name] for name in tag_columns(values)}, path) or named_like(names, TAGS)


def _one_field(candidates: dict[str, Counter[str]], path: Path) -> str | None:
    """Return the only candidate, or the one whose name is usual for entity tags."""
    if len(candidates) > 1:
        known = [name for name in candidates if "ner" in name.lower() or name in USUAL_TAGS]
        if len(known) != 1:
            shown = "; ".join(
                f"--set tags_field={name}: {', '.join(list(counts)[:4])}" for name, counts in candidates.items()
            )
            raise CorpusError(f"{path.name}: more than one field could hold the tags, so name it. {shown}.")
        return known[0]
    return next(iter(candidates), None)


def _record_form(sample: Sequence[Any], path: Path, options: dict[str, Any], seen: list[str]) -> dict[str, Any]:
    if is_most(isinstance(r, list) and len(r) == 2 and isinstance(r[1], dict) for r in sample):
        seen.append('["text", {"entities": […]}], as spaCy 2 took it')
        return {"name": "spans", "text_field": "text", "spans_field": "entities", "documents": "records"}
    if not is_most(isinstance(record, dict) for record in sample):
        raise Unrecognised(f"{path.name}: records that are no objects, such as {str(sample[0])[:60]!r}")
    sample = [record for record in sample if isinstance(record, dict)]
    if is_most(isinstance(r.get("data"), dict) and ("annotations" in r or "completions" in r) for r in sample):
        return _label_studio(sample, path, options, seen)
    names = list(dict.fromkeys(name for record in sample for name in record))
    forms = (_tokens_form, token_spans_form)
    for form in reversed(forms) if "spans_field" in options else forms:
        if fields := form(sample, names, path, options, seen):
            return fields
    return _spans_form(sample, names, path, options, seen)


def _label_studio(sample: Sequence[dict], path: Path, options: dict[str, Any], seen: list[str]) -> dict[str, Any]:
    data = [record["data"] for record in sample if isinstance(record.get("data"), dict)]
    texts = [name for name in data[0] if is_most(isinstance(d.get(name), str) for d in data)]
    field = options.get("text_field") or named_like(texts, TEXTS) or (texts[0] if len(texts) == 1 else None)
    if not field:
        raise CorpusError(
            f"{path.name}: Label Studio's tasks, whose data has {', '.join(data[0]) or 'nothing'}: name the text_field."
        )
    seen.append(f"tasks of Label Studio (data, annotations), the text in data.{field}")
    return {"name": "label-studio", "text_field": field, "spans_field": "annotations", "documents": "records"}


def _tokens_form(
    sample: Sequence[dict], names: Sequence[str], path: Path, options: dict[str, Any], seen: list[str]
) -> dict[str, Any] | None:
    lists = [name for name in names if is_most(_is_list_of(record.get(name), str) for record in sample)]
    if container(path) == CSV:
        lists += [name for name in names if name not in lists and is_most(isinstance(r.get(name), str) for r in sample)]
    tokens = options.get("tokens_field") or named_like(lists, TOKENS)
    if not tokens or not is_most(isinstance(r.get(tokens), list | str) for r in sample):
        return None
    beside = [name for name in names if name != tokens and is_most(_fits(r.get(tokens), r.get(name)) for r in sample)]
    tags = options.get("tags_field") or _tags_field(sample, beside, path)
    if not tags:
        return None
    fields = {"name": "tokens", "tokens_field": tokens, "tags_field": tags}
    own = label_names(path, tags) if container(path) in (PARQUET, ARROW) else None
    labels = options.get("labels") or own
    if own and labels and labels != own:
        raise CorpusError(f"{path.name} says that its labels are {', '.join(own)}; {', '.join(labels)} were named.")
    document = options.get("document_field") or named_like([n for n in names if n not in (tokens, tags)], DOCUMENTS)
    seen.append(f"tokens in {tokens!r}, tags in {tags!r}")
    counts = {n: Counter(str(tag) for r in sample for tag in _items(r.get(n)) or ()) for n in beside if n != tags}
    if others := tag_columns(counts):
        seen.append(f"tags in {', '.join(others)} as well: --set tags_field={others[0]} reads those")
    if labels:
        seen.append(f"ids of {len(labels)} labels")
    if document:
        seen.append(f"documents by {document!r}")
    return {**fields, "labels": labels, "document_field": document, "documents": "document" if document else None}


def _is_list_of(value: Any, kind: type) -> bool:
    return isinstance(value, list) and all(isinstance(item, kind) for item in value)


def _items(value: Any) -> list[Any] | None:
    return value.split() if isinstance(value, str) else value if isinstance(value, list) else None


def _fits(tokens: Any, tags: Any) -> bool:
    words, marks = _items(tokens), _items(tags)
    if words is None or marks is None or len(words) != len(marks):
        return False
    return all(isinstance(mark, str | int) and not isinstance(mark, bool) for mark in marks)


def _tags_field(sample: Sequence[dict], names: Sequence[str], path: Path) -> str | None:
    counts = {n: Counter(str(tag) for record in sample for tag in _items(record.get(n)) or []) for n in names}
    if named := tag_columns(counts):
        return _one_field({name: counts[name] for name in named}, path)
    numbers = {n: c for n, c in counts.items() if c and all(value.lstrip("-").isdecimal() for value in c)}
    if len(numbers) > 1 and not any("ner" in name.lower() for name in numbers):
        preferred = [name for name in TAGS if name in numbers]
        numbers = {name: numbers[name] for name in preferred} or numbers
    if numbers:
        return _one_field(numbers, path)
    plain = {n: c for n, c in counts.items() if "O" in c}
    return _one_field(plain, path) or named_like([n for n, c in counts.items() if not c], TAGS)


def _spans_form(
    sample: Sequence[dict], names: Sequence[str], path: Path, options: dict[str, Any], seen: list[str]
) -> dict[str, Any]:
    texts = [name for name in names if is_most(isinstance(record.get(name), str) for record in sample)]
    text = options.get("text_field") or named_like(texts, TEXTS)
    if not text:
        raise Unrecognised(
            f"{path.name}: records with {', '.join(names)[:200]}, none of them a text or tokens with tags"
            + (
                "; put the texts themselves into `source`, this only says where they are"
                if "source-ref" in names
                else ""
            )
        )
    lists = [n for n in names if n != text and is_most(span_items(r.get(n)) is not None for r in sample)]
    items = {n: [item for r in sample for item in span_items(r.get(n)) or []] for n in lists}
    holding = [n for n in lists if any(spans_in(item) is not None for item in items[n])]
    spans = options.get("spans_field") or one_of({n: items[n] for n in holding}, SPANS, path)
    spans = spans or named_like([n for n in lists if not items[n]], SPANS)
    if not spans:
        labels = [n for n in names if n.lower() in SPANS and any(r.get(n) for r in sample)]
        if labels or holding:
            shown = str(next(r[n] for n in labels or holding for r in sample if r.get(n)))[:60]
            raise Unrecognised(f"{path.name}: texts with {', '.join(labels or holding)}, which hold no spans ({shown})")
        seen.append(f"texts in {text!r} and nothing that marks anything in them: not annotated")
        return {"name": "texts", "text_field": text, "documents": "records"}
    _check_types(sample, text, spans, path)
    is_list = any(isinstance(record.get(spans), list) for record in sample)
    tool = _tool(items.get(spans, []), spans, "Comments" in names) if is_list else "spans"
    seen.append(f"text in {text!r}, spans in {spans!r}" + (f", as {tool} writes them" if tool != "spans" else ""))
    return {"name": tool, "text_field": text, "spans_field": spans, "documents": "records"}


def _check_types(sample: Sequence[dict], text: str, field: str, path: Path) -> None:
    """Raise CorpusError where nearly each span has a type of its own: what stands there is the entity, or an id."""
    types = Counter(
        span.type
        for record in sample
        for item in span_items(record.get(field)) or []
        for span in spans_in(item, None, str(record.get(text))) or []
    )
    if len(types) >= MANY_TYPES and 2 * len(types) >= sum(types.values()):
        raise CorpusError(
            f"{path.name}: {sum(types.values()):,} spans in {field!r} have {len(types):,} types, such as "
            f"{', '.join(map(repr, list(types)[:3]))}, so these are no types: give each span a start, an end and a "
            "type that others share."
        )


def _tool(items: Sequence[Any], field: str, has_comments: bool) -> str:
    """Return the tool that writes spans like these."""
    checks: dict[str, Callable[[Any], bool]] = {
        "doccano": lambda item: isinstance(item, list) or (isinstance(item, dict) and "start_offset" in item),
        "label-studio": lambda item: isinstance(item, dict) and isinstance(item.get("labels"), list),
    }
    if field == "spans":
        return "prodigy"
    for name, check in checks.items():
        if items and all(check(item) for item in items):
            return name
    if field in ("label", "labels") or has_comments:
        return "doccano"
    return "spans"
