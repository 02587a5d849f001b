"""The commands that a document shows: does each exist, with its options, variables, parameters and deployments?

problems(text)   # ["make swep: no target of Makefile", …], empty where all is well
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from itertools import takewhile
from pathlib import Path

import yaml

from flows.runtime.overrides import parse_settings
from ner.__main__ import PROGRAMS, load
from ner.errors import NerError
from ner.params import Params, override, read_blocks

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PRINTED = re.compile(r"<!-- make-train:.*?<!-- /make-train -->", re.DOTALL)  # output, in which commands are words
INLINE = re.compile(r"`((?:make|ner|python -m|dvc|prefect) [^`\n]+)`")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PARAMS = read_blocks((ROOT / "tests/data/params.yaml").read_text(encoding="utf-8"))


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of a document in a language, "" where none is named."""
    return [block for name, block in BLOCK.findall(text) if name == language]


def commands(text: str) -> Iterator[list[str]]:
    """The words of each command, in blocks without a language and in the running text."""
    text = PRINTED.sub("", text)
    lines = "\n".join(blocks(text, "")).replace("\\\n", " ").split("\n")
    for line in [*lines, *INLINE.findall(BLOCK.sub("", text))]:
        try:
            words = shlex.split(line.removeprefix("$ "), comments=True)
        except ValueError:  # output of a command, with an apostrophe
            continue
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words = words[1:]
        words = list(takewhile(lambda word: not re.fullmatch(r"2?>&?1?|\||&&", word), words))
        if words and words[0] in CHECKS and "─►" not in words:  # an arrow of a drawing
            yield words


def problems(text: str) -> list[str]:
    """What is wrong with the commands of a document, one sentence each."""
    return [f"{shlex.join(words)}: {what}" for words in commands(text) for what in CHECKS[words[0]](words[1:])]


def of_make(words: Sequence[str]) -> Iterator[str]:
    for word in words:
        if word == "-B":  # make's own: whether or not it is up to date
            continue
        name, equals, value = word.partition("=")
        if not equals and not re.search(rf"^{re.escape(name)}:", MAKEFILE, re.MULTILINE):
            yield f"{name} is no target of Makefile"
        if equals and not re.search(rf"\$\({name}\)|\$\${name}\b", MAKEFILE):
            yield f"Makefile reads no {name}"


def of_ner(words: Sequence[str]) -> Iterator[str]:
    name, *arguments = words
    if name in ("--help", "COMMAND"):
        return
    if name not in PROGRAMS:
        yield f"ner has no command {name}"
        return
    if arguments:
        try:
            load(name).make_context(name, [*arguments])
        except Exception as error:  # of the click that typer carries: an option or an argument that it does not take
            yield f"ner {name}: {getattr(error, 'message', error)}"
    yield from of_settings([word for word in arguments if re.fullmatch(r"\w+\.\w+=.*", word)])


def of_python(words: Sequence[str]) -> Iterator[str]:
    if words[0] != "-m" or not words[1].startswith(("tasks.", "flows.", "ner.")):
        return
    path = ROOT / words[1].replace(".", "/")
    if not path.with_suffix(".py").exists() and not (path / "__main__.py").exists():
        yield f"there is no module {words[1]}"
    yield from of_settings([word for word in words[2:] if re.fullmatch(r"\w+\.\w+=.*", word)])


def of_settings(settings: Sequence[str]) -> Iterator[str]:
    """block.key=value, each a parameter of params.yaml."""
    try:
        override(PARAMS, parse_settings(settings), where="the document")
    except NerError as error:
        yield str(error)


def of_dvc(words: Sequence[str]) -> Iterator[str]:
    from dvc.cli.parser import DvcParserError, get_main_parser

    whole = words if len(words) > 1 else [*words, "--help"]  # `dvc metrics` alone names a family of commands
    try:
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            given = get_main_parser().parse_args(list(whole))
    except (DvcParserError, SystemExit) as error:
        if getattr(error, "code", 1):
            yield "DVC does not take it"
        return
    yield from of_settings(getattr(given, "set_param", None) or [])


def of_prefect(words: Sequence[str]) -> Iterator[str]:
    if words[:2] != ["deployment", "run"]:
        return
    files = ((ROOT / name).read_text(encoding="utf-8") for name in ("prefect.yaml", "prefect.team.yaml"))
    names = {entry["name"] for text in files for entry in yaml.safe_load(text)["deployments"]}
    if words[2].rpartition("/")[2] not in names:
        yield f"{words[2]} is in neither prefect.yaml nor prefect.team.yaml"
    for word in (after for before, after in zip(words, words[1:], strict=False) if before == "--param"):
        name, _, value = word.partition("=")
        if name in Params.model_fields and (given := yaml.safe_load(value)):
            yield from of_settings([f"{name}.{key}={value}" for key, value in given.items()])


CHECKS = {"make": of_make, "ner": of_ner, "python": of_python, "dvc": of_dvc, "prefect": of_prefect}
