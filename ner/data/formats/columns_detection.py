"""Detects the layout of column files: separator, number of columns, which holds tokens and which tags, prefix,
documents.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ner.data.formats.column_lines import Start, first_rows, row_place, splitter
from ner.data.formats.columns import blocks
from ner.data.formats.format import BLANKS, SPACE, TAB, Format, Unrecognised
from ner.data.formats.notation import MARKS, OUTSIDE_WORDS, detect_notation, is_prefixed, may_be_prefixed
from ner.data.formats.scheme_detection import Transitions
from ner.data.formats.schemes import PLAIN, PREFIXED
from ner.data.formats.text_files import Progress
from ner.errors import CorpusError

SAMPLE = 2_000  # lines
MOST_COLUMNS = 64
SHOWN = 4  # tokens under each choice, in a message
NEARLY_ALL = 0.98  # of the lines in the sample: a damaged line must not hide what the file is
MOST_PLAIN_TYPES = 1_000
LANGUAGE = re.compile(r"[a-z]{2,3}(?:[-_][A-Za-z]+)*:")
CHUNKS = {"NP", "VP", "PP", "ADVP", "ADJP", "SBAR", "PRT", "CONJP", "INTJ", "LST", "UCP", "PNP", "NX", "PC", "VC", "NC"}
CONLLU_COLUMNS = 10
NAMES = re.compile(  # of columns, in some languages
    r"(.*[\W_])?(tokens?|words?|forms?|text|wort|wörter|mot|mots|palabra|palavra|parola|woord|слово|ner?|iob2?|bio|bioes|"
    r"tags?|labels?|entit\w*|types?|class|etiqueta|étiquette|etikett|тег)([\W_].*)?",
    re.IGNORECASE,
)


def columns_form(path: Path, options: dict[str, Any]) -> tuple[Format, list[str]]:
    """Return the format of one file, without the tag scheme, and the evidence for it; `options` override what is
    detected.

    Raises Unrecognised where this is no file of columns, CorpusError where two columns could hold the tags.
    """
    encoding = options.get("encoding", "utf-8")
    sample = [line for _, line in first_rows(path, encoding, SAMPLE)]
    comments = [line for line in sample if line.startswith("#")]
    rows = [line for line in sample if not line.startswith("#")] or sample
    separator, columns = _separator(rows, path, options)
    seen = [f"{columns} columns separated by {'one ' if separator != BLANKS else ''}{separator}"]
    table = [fields for line in rows if len(fields := splitter(separator)(line)) == columns]
    form = {"encoding": encoding, "separator": separator, "columns": columns}
    if form_header := options.get("header", has_header(table)):
        seen.append(
            f"the first line names the columns ({', '.join(table[0])}), so it is skipped; --set header=false if not"
        )
        table = table[1:]
    form["header"] = form_header
    if _is_numbered(table) and separator == TAB and columns == CONLLU_COLUMNS and "tag_column" not in options:
        form |= _conllu(table, path, options)
        seen.append(f"CoNLL-U's ten columns; {form['misc_key']}= in the last holds the tags")
    else:
        form |= _conll(table, path, options, seen)
    if comments:
        seen.append(f"lines that begin with # ({comments[0][:40]!r}): comments, unless they have token and tag")
    name = form.pop("name")
    rest = {key: value for key, value in options.items() if key not in form}
    return Format(name, **form, **rest), seen


def scan_columns(
    paths: Sequence[Path], form: Format, progress: Progress | None = None
) -> tuple[Transitions, str | None, list[str]]:
    """Return the tags of whole files, which lines open documents, and the evidence for that.

    A file with one such line is not taken for one document: the line says nothing, and the file may be large.
    Raises CorpusError as reading them does.
    """
    tags, documents, seen = Transitions(), None, []
    for path in paths:
        marks: Counter[str] = Counter()
        for block in blocks(path, with_header(path, form), None, progress):
            if isinstance(block, Start):
                marks[block.mark] += 1
            else:
                tags.add([row.tag for row in block], partial(row_place, path, block))
        for mark, count in marks.items():
            seen.append(f"{path.name}: {count:,} {mark} line{'s' if count > 1 else ', which bounds no document'}")
            documents = documents or (mark if count > 1 else None)
    return tags, documents, seen


def with_header(path: Path, form: Format) -> Format:
    """Return the format with whether this file's first line names the columns, where the format leaves it open."""
    if form.header is not None:
        return form
    split = splitter(form.separator or SPACE)
    rows = [split(line) for _, line in first_rows(path, form.encoding, SAMPLE) if not line.startswith("#")]
    return replace(form, header=has_header([fields for fields in rows if len(fields) == form.columns]))


def has_header(table: Sequence[Sequence[str]]) -> bool:
    """Whether the first row names the columns: where the others have tags, it has none.

    Without prefixes any word may be a tag; then it is one that names a column, in a row that names the tokens' as well.
    """
    if len(table) < 2:
        return False
    first, rest = table[0], list(zip(*table[1:], strict=True))
    columns = {index: Counter(cells) for index, cells in enumerate(rest)}
    for index in tag_columns(columns):
        cell, tags = first[index], columns[index]
        is_type = any(cell in tag for tag in tags)  # a tag that lacks its prefix
        if not (is_type or may_be_prefixed(cell) or cell.casefold() in OUTSIDE_WORDS | MARKS):
            return True
    are_names = [bool(NAMES.fullmatch(cell.strip())) for cell in first]
    plain = [n for n, counts in columns.items() if are_names[n] and _are_plain(counts, len(table))]
    return sum(are_names) > 1 and any(first[index] not in columns[index] for index in plain)


def _separator(rows: Sequence[str], path: Path, options: dict[str, Any]) -> tuple[str, int]:
    if not rows:
        raise Unrecognised(f"{path.name} holds no line of text")
    named = options.get("separator")
    shares = []
    for separator in [named] if named else [TAB, SPACE, BLANKS]:
        count, lines_of = Counter(len(splitter(separator)(line)) for line in rows).most_common(1)[0]
        if 2 <= count <= MOST_COLUMNS and options.get("columns", count) == count:
            shares.append((lines_of / len(rows), separator, count))
    best = max(shares, key=lambda share: share[0], default=(0, "", 0))  # the first of equals
    if best[0] < NEARLY_ALL and not (best[0] > 0.5 and len(rows) < 50):
        raise Unrecognised(
            f"the lines of {path.name} have no constant number of columns (the first is {rows[0][:60]!r})"
        )
    return best[1], best[2]


def _is_numbered(table: Sequence[Sequence[str]]) -> bool:
    """Whether the first column counts the tokens."""
    cells = [fields[0] for fields in table]
    return cells[0] in ("0", "1") and all(re.fullmatch(r"\d+([-.]\d+)?", cell) for cell in cells)


def _conllu(table: Sequence[Sequence[str]], path: Path, options: dict[str, Any]) -> dict[str, Any]:
    values: dict[str, Counter[str]] = {}
    for fields in table:
        for pair in fields[-1].split("|"):
            name, equals, value = pair.partition("=")
            if equals:
                values.setdefault(name, Counter())[value] += 1
    keys = [key for key, counts in values.items() if all(_is_tag(value) for value in counts)]
    key = options.get("misc_key") or _one_of(keys, ("NER", "NE", "ner", "Entity"))
    if key is None:
        raise Unrecognised(
            f"{path.name} is CoNLL-U, but no key in its last column holds tags such as B-PER (it has "
            f"{', '.join(sorted(values)) or 'no keys'}); name it with misc_key if one does"
        )
    return {"name": "conllu", "numbered": True, "token_column": 2, "tag_column": CONLLU_COLUMNS, "misc_key": key}


def _one_of(keys: Sequence[str], preferred: Sequence[str]) -> str | None:
    return next((key for key in preferred if key in keys), keys[0] if len(keys) == 1 else None)


def _conll(table: Sequence[Sequence[str]], path: Path, options: dict[str, Any], seen: list[str]) -> dict[str, Any]:
    numbered = options.get("numbered", _is_numbered(table) and len(table[0]) > 2)
    is_tag_first = "token_column" not in options and _is_tag_first(table)
    token_column = options.get("token_column", 2 if numbered or is_tag_first else 1)
    if numbered and token_column == 2:
        seen.append("the first column numbers the tokens, the second holds them")
    tag_column = options.get("tag_column") or _tag_column(table, token_column, path)
    for name, column in (("token_column", token_column), ("tag_column", tag_column)):
        if not 1 <= column <= len(table[0]):
            raise CorpusError(f"{path.name}: {name} {column}, but there are {len(table[0])} columns, from 1 on.")
    counts = Counter(fields[tag_column - 1] for fields in table)
    common = ", ".join(tag for tag, _ in counts.most_common(4))
    seen.append(f"column {tag_column} holds tags ({common}{', …' if len(counts) > 4 else ''})")
    prefix = options.get("prefix", _prefix([fields[token_column - 1] for fields in table]))
    if prefix:
        seen.append(f"every token begins with {prefix!r}, which is left out")
    return {
        "name": "conll",
        "numbered": numbered,
        "token_column": token_column,
        "tag_column": tag_column,
        "prefix": prefix,
    }


def _is_tag_first(table: Sequence[Sequence[str]]) -> bool:
    """Whether the first column, and it alone, holds tags: the token follows its tag."""
    columns = [Counter(fields[index] for fields in table) for index in range(len(table[0]))]
    return tag_columns(dict(enumerate(columns))) == [0] and not any(map(_mostly_tags, columns[1:]))


def _tag_column(table: Sequence[Sequence[str]], token_column: int, path: Path) -> int:
    """Return the one column of entity tags; chunk tags (B-NP) are recognised by their types."""
    columns = range(1, len(table[0]) + 1)
    values = {n: Counter(fields[n - 1] for fields in table) for n in columns if n != token_column}
    tagged = tag_columns(values)
    if len(tagged) > 1:
        raise CorpusError(_choices(path, table, token_column, tagged))
    if tagged:
        return tagged[0]
    last = len(table[0])
    if set(values.get(last, ())) == {"O"}:
        return last
    plain = [n for n, counts in values.items() if _are_plain(counts, len(table))]
    if len(plain) == 1 or last in plain:
        return last if last in plain else plain[0]
    shown = "; ".join(f"column {n} has {', '.join(t for t, _ in c.most_common(3))}" for n, c in values.items())
    raise Unrecognised(f"no column of {path.name} holds tags such as O and B-PER ({shown[:200]})")


def _choices(path: Path, table: Sequence[Sequence[str]], token_column: int, columns: Sequence[int]) -> str:
    """Return the message about several columns that could hold the tags: the first tokens of each, and its option."""
    start = next((i for i, row in enumerate(table) if any(row[n - 1] != table[0][n - 1] for n in columns)), 0)
    rows = table[max(0, start - 1) : start + SHOWN]
    shown = "; ".join(
        f"--set tag_column={n}: " + ", ".join(f"{row[token_column - 1]} {row[n - 1]}" for row in rows) for n in columns
    )
    return f"{path.name}: more than one column could hold the tags, so name it. {shown}."


def _is_tag(value: str) -> bool:
    return value == "O" or bool(PREFIXED.fullmatch(value))


def tag_columns(values: Mapping[Any, Counter[str]]) -> list[Any]:
    """Return the columns or fields that hold entity tags: O and B-PER, or where none does, tags written otherwise."""
    for are_tags in (_mostly_tags, _mostly_written_otherwise):
        if names := [name for name, counts in values.items() if are_tags(counts) and not are_chunks(counts)]:
            return names
    return []


def _mostly_tags(counts: Counter[str]) -> bool:
    tags = sum(count for value, count in counts.items() if _is_tag(value))
    entities = sum(count for value, count in counts.items() if PREFIXED.fullmatch(value))
    is_clear = "O" in counts or any("-" in value for value in counts)
    return tags >= NEARLY_ALL * counts.total() and entities > 0 and is_clear


def _mostly_written_otherwise(counts: Counter[str]) -> bool:
    most = max(counts, key=lambda value: counts[value], default="")
    known = {value: count for value, count in counts.items() if value == most or may_be_prefixed(value)}
    known |= {word: counts[word] for word in (*OUTSIDE_WORDS, *MARKS) if word in counts}
    outside, _ = detect_notation(known)
    tags = [value for value in known if value != outside]
    entities = sum(known[tag] for tag in tags)
    return outside is not None and is_prefixed(tags) and entities >= NEARLY_ALL * (counts.total() - counts[outside])


def are_chunks(counts: Counter[str]) -> bool:
    types = {match["type"] for value in counts if (match := PREFIXED.fullmatch(value))}
    return types <= CHUNKS


def _are_plain(counts: Counter[str], rows: int) -> bool:
    outside = detect_notation(counts, PLAIN).outside or "_"
    return outside not in MARKS and 1 < len(counts) <= min(MOST_PLAIN_TYPES, max(2, rows // 2))


def _prefix(tokens: Sequence[str]) -> str:
    match = LANGUAGE.match(tokens[0])
    return match[0] if match and len(tokens) > 1 and all(t.startswith(match[0]) for t in tokens) else ""
