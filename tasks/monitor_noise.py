"""Real text for the simulation of drift: sentences with noise of several kinds, and text of other domains.

noisy(tokens, "typos", 0.15, random)        # a share of the tokens has it
other_domains()["licences"]                 # texts that are on any machine with this environment
"""

import ast
import importlib.metadata
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

LETTERS = "abcdefghijklmnopqrstuvwxyz"
ACCENTED = str.maketrans("aeiouncAEIOUNC", "áéíóúñçÁÉÍÓÚÑÇ")
STRENGTHS = {
    "typos": (0.05, 0.2),
    "dropped characters": (0.05, 0.2),
    "case lost": (0.3, 1.0),
    "wrong encoding": (0.05, 0.2),
}


def noisy(tokens: Sequence[str], kind: str, strength: float, random: np.random.Generator) -> list[str]:
    """The tokens, of which about that share has the noise; none becomes empty."""
    change = KINDS[kind]
    return [
        change(token, random) if hit else token
        for token, hit in zip(tokens, random.random(len(tokens)) < strength, strict=True)
    ]


def typo(token: str, random: np.random.Generator) -> str:
    """One character is another letter, is there twice, or changes places with the next."""
    place, letter = int(random.integers(len(token))), LETTERS[random.integers(len(LETTERS))]
    before, own, after = token[:place], token[place], token[place + 1 :]
    return [f"{before}{letter}{after}", f"{before}{own}{own}{after}", f"{before}{after[:1]}{own}{after[1:]}"][
        random.integers(3)
    ]


def dropped(token: str, random: np.random.Generator) -> str:
    """One character is gone, of a token that has several."""
    place = int(random.integers(len(token)))
    return token[:place] + token[place + 1 :] if len(token) > 1 else token


def lower(token: str, random: np.random.Generator) -> str:
    return token.lower()


def misread(token: str, random: np.random.Generator) -> str:
    """The word with accents, in UTF-8, read as Latin-1."""
    return token.translate(ACCENTED).encode("utf-8").decode("latin-1").replace("\xad", "-").replace("\xa0", "_")


KINDS: dict[str, Callable[[str, np.random.Generator], str]] = {
    "typos": typo,
    "dropped characters": dropped,
    "case lost": lower,
    "wrong encoding": misread,
}


def other_domains() -> dict[str, list[str]]:
    """Texts by domain, in an order that is always the same."""
    return {"docstrings": list(docstrings()), "language manual": list(manual()), "licences": list(licences())}


def docstrings() -> Iterator[str]:
    """Those of Python's standard library."""
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8", errors="replace"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and (text := ast.get_docstring(node)):
                yield text


def manual() -> Iterator[str]:
    """Python's language reference, as `help()` has it."""
    from pydoc_data.topics import topics

    yield from (text for _, text in sorted(topics.items()))


def licences() -> Iterator[str]:
    """Licence texts of the packages that are installed."""
    seen = set()
    for package in sorted(importlib.metadata.distributions(), key=lambda one: one.name.lower()):
        for file in package.files or []:
            if file.name.upper().startswith(("LICENSE", "LICENCE", "COPYING")) and ".dist-info" in str(file):
                text = Path(str(file.locate())).read_text(encoding="utf-8", errors="replace")
                if text not in seen:
                    seen.add(text)
                    yield text
