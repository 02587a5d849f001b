import html
import re
from html.parser import HTMLParser

import pytest

from ner.serving.backend import Version
from ner.serving.page import MAX_CHARS, Page, form_text
from ner.serving.request import Refused

VERSION = Version("ner", 3)
HOSTILE = """<script>alert(1)</script> "><img src=x onerror=alert(1)> ' & {{ 7 * 7 }} </textarea><b>"""


class Parsed(HTMLParser):
    """The tags of a page with the names of their attributes, and its text, as a browser reads them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, ...]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, *(name for name, _ in attrs)))

    def handle_data(self, data):
        self.text += data


def entity(text: str, start: int, end: int, kind: str = "PER") -> dict:
    return {"type": kind, "start": start, "end": end, "text": text[start:end], "score": 0.98765}


def shown(text: str, *entities: dict, **more: object) -> str:
    page, _ = Page().render(VERSION, text=text, answer={"text": text, "entities": list(entities)}, **more)
    return page


def test_entities_are_marked_in_the_text_and_listed_with_type_score_and_offsets():
    page = shown("Marta lives in Oslo.", entity("Marta", 0, 5), entity("Marta lives in Oslo.", 15, 19, "LOC"))
    assert re.search(
        r'<mark class="type-0" dir="auto">Marta&nbsp;<b>PER</b></mark> lives in <mark.*>Oslo&nbsp;<b>LOC', page
    )
    cells = r'LOC.*</td><td class="number">0\.988</td><td class="number">15</td><td class="number">19</td>'
    assert re.search(rf"Oslo</td><td>.*{cells}", page)
    assert "2 entities" in page and "ner version 3" in page


@pytest.mark.parametrize("kind", ["PER", "<i>P</i>", 'x" onmouseover="alert(1)'])
def test_hostile_text_and_types_are_shown_and_never_run(kind):
    page = Parsed(shown(HOSTILE, entity(HOSTILE, 0, 25, kind)))
    innocent = Parsed(shown("x" * len(HOSTILE), entity("x" * len(HOSTILE), 0, 25)))
    assert page.tags == innocent.tags
    assert page.text.count(HOSTILE) == 1 and page.text.count(kind) >= 2  # in the form; with types between, in the text


def test_the_policy_lets_nothing_run_and_only_our_own_style_apply():
    page, headers = Page().render(VERSION)
    nonce = re.search(r'<style nonce="([^"]+)"', page)[1]
    assert headers["Content-Security-Policy"].startswith(f"default-src 'none'; style-src 'nonce-{nonce}';")
    assert "<script" not in page and "style=" not in page
    assert not re.search(r"(src|href)=\"(?!data:,)(https?:)?//", page)


def test_any_set_of_types_gets_colours_of_its_own_that_stay():
    page = Page()
    kinds = [f"TYPE{i}" for i in range(18)]
    text = "x" * len(kinds)
    answer = {"entities": [entity(text, i, i + 1, kind) for i, kind in enumerate(kinds)]}
    first, _ = page.render(VERSION, text=text, answer=answer)
    colours = re.findall(r"\.type-(\d+) { background: (hsl\([^)]*\))", first)
    assert len(colours) == len({colour for _, colour in colours}) == len(kinds)
    answer["entities"].reverse()
    second, _ = page.render(VERSION, text=text, answer=answer)
    assert re.findall(r"\.type-(\d+) { background: (hsl\([^)]*\))", second) == colours


def test_the_text_comes_back_as_it_was_sent():
    text = "\n  first line is empty\n\nשלום Marta"
    page = shown(text)
    (area,) = re.findall(r"<textarea[^>]*>\n(.*?)</textarea>", page, re.DOTALL)  # a browser drops the first line break
    assert html.unescape(area) == text
    assert "No entity was found." in page


def test_text_of_either_direction_finds_its_own():
    page = shown("שלום", entity("שלום", 0, 4))
    assert page.count('dir="auto"') == 4  # the form, the text, the entity in it, the cell


def test_a_problem_is_said_as_an_alert_and_the_text_is_kept():
    page, _ = Page().render(None, text="Marta", problem="no model is ready (ner/1 is loading)")
    assert '<p class="bad" role="alert">no model is ready (ner/1 is loading)</p>' in page
    assert "No model is ready." in page and ">\nMarta</textarea>" in page


def test_the_version_links_to_its_page_in_mlflow_where_there_is_a_server():
    page, _ = Page().render(VERSION, page="http://127.0.0.1:5000/#/models/ner/versions/3")
    assert '<a href="http://127.0.0.1:5000/#/models/ner/versions/3">in MLflow</a>' in page
    assert "in MLflow" not in Page().render(VERSION)[0]


def test_a_form_counts_a_line_break_as_one_character():
    assert form_text(b"text=a%0D%0Ab+%F0%9F%98%80%00") == "a\nb 😀\0"
    assert form_text(b"") == ""


@pytest.mark.parametrize("body", [b"text=\xff", b"&".join([b"a=1"] * 11)])
def test_what_no_form_sends_is_refused(body):
    with pytest.raises(Refused):
        form_text(body)


def test_a_text_that_would_take_minutes_is_refused_with_the_way_to_do_it():
    with pytest.raises(Refused, match="50,001 characters.*ner batch"):
        form_text(b"text=" + b"a" * (MAX_CHARS + 1))
