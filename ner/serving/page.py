"""The page to try the model: a form, and its answer with the entities coloured in the text and in a table.

html, headers = Page().render(version, text="Marta lives in Oslo.", answer={"entities": [...]})

Made on the server, without scripts and without anything from elsewhere; every text goes through jinja's escaping, and
the content security policy lets nothing run or load. Types get their colours as they are met, so that any set of them
works.
"""

import secrets
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ner.serving.backend import Version
from ner.serving.request import Refused

PAGES = Path(__file__).with_name("serve_pages")
MAX_CHARS = 50_000  # more would keep a reader waiting for minutes
EXAMPLE = "Marta Okafor joined Helvion Steel in Rotterdam after ten years at the Bank of Norway in Oslo."
FORM = "application/x-www-form-urlencoded"


class Piece(NamedTuple):
    """A stretch of the text; type is None between entities, colour a number for the style sheet."""

    text: str
    type: str | None = None
    colour: int = 0


def form_text(body: bytes) -> str:
    """Return the text that a form sent, line breaks as one character again. Raises Refused."""
    try:
        fields = parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=10, errors="replace")
    except ValueError:  # UnicodeDecodeError is one
        raise Refused(400, "this is not what the form sends.") from None
    text = fields.get("text", [""])[0].replace("\r\n", "\n")
    if len(text) > MAX_CHARS:
        raise Refused(
            413,
            f"the text has {len(text):,} characters, and this page takes {MAX_CHARS:,}: send longer ones to "
            "/invocations, or use ner batch.",
        )
    return text


class Page:
    """Renders; keeps which colour a type has."""

    def __init__(self) -> None:
        environment = Environment(
            loader=FileSystemLoader(PAGES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        self._template = environment.get_template("page.html")
        self._colours: dict[str, str] = {}

    def render(
        self,
        version: Version | None,
        note: str | None = None,
        page: str | None = None,
        text: str = EXAMPLE,
        answer: Mapping[str, Any] | None = None,
        problem: str | None = None,
    ) -> tuple[str, dict[str, str]]:
        """Return the page and its headers. answer: the model's entities in `text`.

        Page: the version's address in MLflow.

        Page: the version's address in MLflow.
        """
        nonce = secrets.token_urlsafe(16)
        entities = sorted(answer["entities"], key=lambda entity: entity["start"]) if answer else []
        numbers = {entity["type"]: self._number(entity["type"]) for entity in entities}
        html = self._template.render(
            version=asdict(version) if version else None,
            note=note,
            page=page,
            text=text,
            problem=problem,
            pieces=None if answer is None else pieces(text, entities, numbers),
            entities=[{**entity, "colour": numbers[entity["type"]]} for entity in entities],
            colours=self._colours,
            nonce=nonce,
        )
        return html, headers(nonce)

    def _number(self, kind: str) -> int:
        """Return the place of a type's colour; each new one is a golden angle further, far from those before."""
        hue = round(210 + 137.508 * len(self._colours)) % 360
        self._colours.setdefault(kind, f"hsl({hue} 75% 80%)")
        return list(self._colours).index(kind)


def pieces(text: str, entities: list[dict[str, Any]], colours: Mapping[str, int]) -> list[Piece]:
    """Return the text cut at its entities, which are in order; an overlapping entity is left to the table."""
    cuts, at = [], 0
    for entity in entities:
        if entity["start"] >= at:
            cuts.append(Piece(text[at : entity["start"]]))
            cuts.append(Piece(text[entity["start"] : entity["end"]], entity["type"], colours[entity["type"]]))
            at = entity["end"]
    return [*cuts, Piece(text[at:])]


def headers(nonce: str) -> dict[str, str]:
    """Return headers that allow no script, no loading and no frame."""
    policy = f"default-src 'none'; style-src 'nonce-{nonce}'; img-src data:; form-action 'self'"
    return {
        "Content-Security-Policy": f"{policy}; base-uri 'none'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }
