"""Tags that are not written as O and B-PER: recognised, told with an example, and read as the same entities."""

from collections import Counter

import pytest

from ner.data.formats import Report, read, recognise
from ner.data.formats.notation import canonical, detect_notation

TAGS = "B-PER I-PER O O B-LOC O O B-PER B-PER I-PER O B-LOC I-LOC O".split()
WAYS = {
    "lower case": str.lower,
    "lower prefix": lambda tag: tag[0].lower() + tag[1:] if tag != "O" else tag,
    "colon": lambda tag: tag.replace("-", ":"),
    "dash": lambda tag: tag.replace("-", "–"),
    "slash": lambda tag: tag.replace("-", "/"),
    "suffix": lambda tag: "-".join(reversed(tag.split("-"))),
    "lower suffix": lambda tag: "_".join(reversed(tag.split("-"))).replace("_B", "_b").replace("_I", "_i"),
    "words": lambda tag: tag.replace("B-", "Begin-").replace("I-", "Inside-"),
    "other": lambda tag: "OTHER" if tag == "O" else tag,
    "none": lambda tag: "None" if tag == "O" else tag,
    "zero": lambda tag: "0" if tag == "O" else tag,
    "underscore": lambda tag: "_" if tag == "O" else tag,
    "a word of their own": lambda tag: "kein" if tag == "O" else tag,
    "both": lambda tag: "none" if tag == "O" else tag.lower(),
}


def rows(write, count: int = 40) -> list[tuple[str, str]]:
    return [(f"w{i}.{j}", write(tag)) for i in range(count) for j, tag in enumerate(TAGS)]


def kept(path, **options):
    recognised, report = recognise(path, **options), Report()
    for paths in recognised.files.values():
        list(read(paths, recognised.format, report))
    return recognised, report


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["x.tsv", "x.csv"])
def test_the_same_entities_are_read_in_whatever_way_tags_are_written(tmp_path, way, name):
    mark, head = ("\t", "") if name == "x.tsv" else (",", "Word,Tag\n")
    lines = [f"{token}{mark}{tag}\n" + "\n" * (token.endswith(".13")) for token, tag in rows(WAYS[way])]
    (tmp_path / name).write_text(head + "".join(lines), encoding="utf-8")
    recognised, report = kept(tmp_path / name)
    types = {"PER": 120, "LOC": 80}
    assert {kind.upper(): n for kind, n in report.types.items()} == types and report.entities_in == 200
    assert recognised.format.scheme == "IOB2"
    assert any("is read as" in fact and "--set" in fact for fact in recognised.seen)


def test_types_without_a_prefix_have_the_most_frequent_word_for_outside(tmp_path):
    lines = ["Word,Tag\n", *(f"{token},{tag.partition('-')[2] or 'OTHER'}\n" for token, tag in rows(str))]
    (tmp_path / "x.csv").write_text("".join(lines), encoding="utf-8")
    recognised, report = kept(tmp_path / "x.csv")
    assert set(report.types) == {"PER", "LOC"}
    assert (
        "'OTHER' is read as O: 240 of 560 tokens, first x.csv, line 4; --set outside=O if it is a type"
        in recognised.seen
    )
    _, report = kept(tmp_path / "x.csv", outside="O")
    assert set(report.types) == {"PER", "LOC", "OTHER"}


@pytest.mark.parametrize("tags", [["O", "PER", "OTHER"], ["O", "e-mail", "PER"], ["PER", "LOC"], ["O", "end", "last"]])
def test_types_are_not_taken_for_prefixes(tags):
    order = detect_notation(dict.fromkeys(tags, 5)).order
    assert order is None and [canonical(tag) for tag in tags] == tags


def test_a_column_of_something_else_is_no_column_of_tags(tmp_path):
    lines = [f"{i}\tw{i}\t_\t{'NN' if i % 2 else 'VB'}\t{i % 3}\n" for i in range(1, 60)]
    (tmp_path / "parse.txt").write_text("".join(lines), encoding="utf-8")
    with pytest.raises(Exception, match="no column of parse.txt holds tags"):
        recognise(tmp_path / "parse.txt")


@pytest.mark.parametrize(
    "head",
    ["Wort\tNE\n", "TOKEN\tNE-COARSE-LIT\n# document_id = a\n", "słowo\tznacznik\n\n", "# made by us\nid\tcorr\n"],
)
@pytest.mark.parametrize("count", [2, 40])
def test_a_header_is_skipped_and_told(tmp_path, head, count):
    lines = [f"{token}\t{tag}\n" + "\n" * token.endswith(".13") for token, tag in rows(str, count)]
    (tmp_path / "x.tsv").write_text(head + "".join(lines), encoding="utf-8")
    recognised, report = kept(tmp_path / "x.tsv")
    assert report.tokens == count * 14 and report.entities == count * 5 and report.ignored["header line"] == 1
    assert any("the first line names the columns" in fact for fact in recognised.seen)


def test_a_header_above_tags_without_prefixes_is_skipped_and_may_be_named(tmp_path):
    lines = [f"{token} {tag.partition('-')[2] or 'O'}\n" for token, tag in rows(str)]
    (tmp_path / "x.txt").write_text("Wort NE\n" + "".join(lines), encoding="utf-8")
    assert set(kept(tmp_path / "x.txt")[1].types) == {"PER", "LOC"}
    (tmp_path / "y.txt").write_text("a b\n" + "".join(lines), encoding="utf-8")
    assert set(kept(tmp_path / "y.txt")[1].types) == {"PER", "LOC", "b"}
    assert set(kept(tmp_path / "y.txt", header=True)[1].types) == {"PER", "LOC"}


def test_a_first_tag_that_lacks_its_prefix_is_no_header(tmp_path):
    lines = [f"{token}\t{tag}\n" for token, tag in rows(str)]
    (tmp_path / "x.tsv").write_text("Ada\tPER\n" + "".join(lines), encoding="utf-8")
    with pytest.raises(Exception, match="tag 'PER' .1 times. has no prefix"):
        recognise(tmp_path / "x.tsv")


def test_where_two_columns_hold_tags_the_first_rows_of_each_and_its_option_are_shown(tmp_path):
    lines = [
        f"{token}\t{tag}\t{tag.lower().replace('b-', 'B-').replace('i-', 'I-').upper()}.x\n" for token, tag in rows(str)
    ]
    (tmp_path / "x.tsv").write_text("".join(lines).replace("\tO.x", "\tO"), encoding="utf-8")
    with pytest.raises(Exception, match=r"--set tag_column=2: w0\.0 B-PER, .*; --set tag_column=3: w0\.0 B-PER\.x"):
        recognise(tmp_path / "x.tsv")
    assert kept(tmp_path / "x.tsv", tag_column=2)[1].types == Counter(PER=120, LOC=80)


def write_brat(folder, names, count: int = 1):
    folder.mkdir(parents=True)
    for name in names:
        (folder / f"{name}.txt").write_text(f"Ana {name} left\nOslo .", encoding="utf-8")
        (folder / f"{name}.ann").write_text("T1\tPER 0 3\tAna\n", encoding="utf-8")


@pytest.mark.parametrize("folder", ["train", "letters"])
def test_bad_lines_of_brat_are_listed_and_never_lose_a_document(tmp_path, folder):
    write_brat(tmp_path / folder, ["a", "b", "c", "d", "e"])
    files = {name: tmp_path / folder / f"{name}.ann" for name in "abcde"}
    files["a"].write_text("T1\tPER 0 3\tAna\nT2\tX 6 15\tleft\nOslo\nT3\tLOC 11 15\tOslo\n")  # over a line break
    files["b"].write_text("T1 PER 0 3 Ana\nT2\tPER 0 3\tAna\n")  # no tabs
    files["c"].write_text("T1\tPER 0 3\tAna\nwhat is this\n")
    (tmp_path / folder / "d.txt").unlink()
    recognised, report = kept(tmp_path)
    assert len(next(iter(recognised.files.values()))) == 5 and not recognised.skipped
    assert report.entities_in == 3 + 2 + 1 + 1 + 1 and report.is_balanced() and report.documents == 4
    assert report.ignored == {"line of no known kind": 1}
    assert (
        any(problem.text == "left\nOslo" or problem.document == "a" for problem in report.listed) or report.types["X"]
    )


def test_a_file_that_is_no_brat_is_refused_with_its_folder(tmp_path):
    write_brat(tmp_path / "train", ["a", "b"])
    (tmp_path / "train" / "b.ann").write_text("nothing of the kind\n")
    with pytest.raises(Exception, match=r"train: b\.ann: no line of it is an annotation"):
        recognise(tmp_path)
