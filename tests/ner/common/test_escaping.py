import pytest

from ner.common.escaping import in_markdown, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[a](javascript:x)", r"\[a\](javascript:x)"),
        ("<b>a|b</b>", r"\<b\>a\|b\</b\>"),
        ("`a` *b* _c_ ~d~ #e &amp;", r"\`a\` \*b\* \_c\_ \~d\~ \#e \&amp;"),
        ("http://a.example www.a.example a@b.example", r"http\://a.example www\.a.example a\@b.example"),
        ("a\n\n# b", r"a \# b"),
        ("F1 0.94, +0.01 (95 %): U.S. 日本語", "F1 0.94, +0.01 (95 %): U.S. 日本語"),
    ],
)
def test_nothing_in_a_text_is_markdown(text, shown):
    assert in_markdown(text) == shown


def test_what_is_not_printed_is_shown_by_its_escape():
    assert visible("a\u202eb\x1b\u200b") == r"a\u202eb\x1b\u200b"
    assert visible("a\tb\nc") == "a\tb\nc"
