import pytest
from markdown_it import MarkdownIt

from ner.card.markdown import between, cell, code, link, number, parse, percent, plain, table, text

NASTY = [
    "<script>x</script>",
    "a | b",
    "*a* _b_ **c** ~~d~~",
    "`x`",
    "[a](b)",
    "![a](b)",
    "\\| \\",
    "&lt;",
    "a\n\n# b",
    "<!-- ",
]


def html(markdown: str) -> str:
    return MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(markdown)


def shown(value: str) -> str:
    return value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


@pytest.mark.parametrize("value", NASTY)
def test_foreign_text_is_shown_letter_by_letter(value):
    assert html(f"x {text(value)} y") == f"<p>x {shown(' '.join(value.split()))} y</p>\n"


@pytest.mark.parametrize("value", NASTY)
@pytest.mark.parametrize("write", [text, code])
def test_foreign_text_stays_in_its_cell(value, write):
    out = html(table(f"| a | b |\n| {cell(write(value))} | 1 |"))
    assert out.count("<td") == 2 and out.count("<tr>") == 2
    assert "<script>" not in out and "<!--" not in out


def test_control_characters_and_turned_directions_are_shown_by_their_escape():
    assert plain("a\x00\x1b[1m\u202eb\u2066c\n d") == r"a\x00\x1b[1m\u202eb\u2066c d"
    assert plain(None) == plain("\n") == "unknown"


@pytest.mark.parametrize(
    ("address", "is_link"), [("https://a.org/x", True), ("javascript:x", False), ("https://a) b", False)]
)
def test_only_addresses_of_the_web_become_links(address, is_link):
    assert ("](" in link("a", address)) is is_link


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.94321, "0.9432"),
        (5942, "5,942"),
        ("0.5", "0.5000"),
        ("7", "7"),
        (None, "–"),
        (float("nan"), "–"),
        ("", "–"),
        (0, "0"),
    ],
)
def test_numbers_are_written_one_way(value, words):
    assert number(value) == words


def test_what_is_no_number_is_none():
    assert [parse(value) for value in ("x", "inf", None, 0.5, "3", "3.0")] == [None, None, None, 0.5, 3, 3.0]


def test_intervals_and_shares():
    assert between([0.9, 0.95]) == "0.9000 to 0.9500"
    assert between(None) == between([0.9, float("nan")]) == between([0.9]) == "–"
    assert (percent(0.0312), percent(None)) == ("3.1 %", "–")


def test_numbers_stand_to_the_right_and_words_to_the_left():
    assert table("| a | b |\n| x | 1,234 |\n| yy | 5 |").splitlines()[1] == "| :-- | ----: |"
