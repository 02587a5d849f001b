"""Tables of the site, made while it is built, so that none of them can go stale.

A page says where: `<!-- generated: params -->` is replaced by the table of that name in TABLES, and
`<!-- generated: reports/bench/training.md -->` by that file. `make docs` builds the site with it.
"""

import csv
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import yaml
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]
MARK = re.compile(r"<!-- generated: ([\w/.-]+) -->")
MEASURES = ("precision", "recall", "f1", "accuracy")


def on_config(config: Any) -> Any:
    """Let the tables import our code, however mkdocs was started; it puts sys.path back after loading this file."""
    sys.path.insert(0, str(ROOT))
    return config


def on_page_markdown(markdown: str, **_: Any) -> str:
    """A page with its tables filled in."""
    return filled(markdown)


def filled(markdown: str) -> str:
    """Replace every mark. Raises KeyError for a table that nobody makes, OSError for a report that is not there."""
    return MARK.sub(lambda mark: TABLES[mark[1]]() if mark[1] in TABLES else included(mark[1]), markdown)


def included(path: str) -> str:
    """A Markdown file of the repository, without front matter and title, its headings one level down."""
    text = re.sub(r"\A---\n.*?^---\n", "", (ROOT / path).read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"\A\s*# .*\n", "", text)
    text = re.sub(r"!\[([^]]*)\]\(figures/", r"![\1](../images/", text)
    return re.sub(r"\]\(docs/", "](", re.sub(r"^(#+ )", r"#\1", text, flags=re.MULTILINE)).strip()


def table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """A table in Markdown."""
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(escaped(str(cell)) for cell in line) + " |" for line in lines)


def escaped(cell: str) -> str:
    """A cell whose bars and brackets mean nothing, but for those in code, where Markdown leaves them alone."""
    return re.sub(r"(`[^`]*`)|([|[])", lambda part: part[1] or f"\\{part[2]}", cell)


def params() -> str:
    """Every key of params.yaml: what it means (its comment there), what it may be, its value."""
    from ner.params import Params

    tree = YAML().load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    parts = []
    for block, values in tree.items():
        fields = Params.model_fields[block].annotation.model_fields
        rows = [
            (f"`{key}`", comment(values, key), allowed(fields[key]), f"`{json.dumps(value)}`")
            for key, value in values.items()
        ]
        about = comment(tree, block)
        parts += [f"## `{block}`", *([f"{about[0].upper()}{about[1:]}."] if about else [])]
        parts.append(table(("key", "meaning", "values", "in params.yaml"), rows))
    return "\n\n".join(parts)


def comment(tree: Any, key: str) -> str:
    """What stands beside a key in the YAML file."""
    tokens = tree.ca.items.get(key) or []
    first = next((token for token in tokens if token is not None and not isinstance(token, list)), None)
    nested = next((token[0] for token in tokens if isinstance(token, list) and token), None)
    text = (first or nested).value if first or nested else ""
    return text.partition("\n")[0].lstrip("# ").strip()


def allowed(field: Any) -> str:
    """The values that a key may have, from its type in ner/params.py."""
    return ", ".join(dict.fromkeys(kinds(field.annotation, field.metadata)))


def kinds(annotation: Any, limits: Iterable[Any] = ()) -> Iterator[str]:
    """ "a number, at least 0", "`linear`", … of a type."""
    signs = (("ge", "at least"), ("gt", "over"), ("le", "at most"), ("lt", "under"))
    if get_origin(annotation) is Literal:
        yield from (f"`{value}`" for value in get_args(annotation))
    elif get_origin(annotation) in (tuple, list):
        yield "a list"
    elif get_origin(annotation) is dict:
        yield "a mapping"
    elif hasattr(annotation, "__metadata__"):
        yield from kinds(annotation.__origin__, annotation.__metadata__)
    elif get_args(annotation):
        for kind in get_args(annotation):
            yield from kinds(kind, limits)
    elif annotation is type(None):
        yield "empty"
    else:
        names = {int: "a whole number", float: "a number", str: "a name", bool: "`true`, `false`"}
        numbers = [part for limit in limits for part in (getattr(limit, "metadata", None) or [limit])]
        bounds = [
            f"{word} {number:g}"
            for part in numbers
            for name, word in signs
            if (number := getattr(part, name, None)) is not None
        ]
        yield " ".join([names.get(annotation, "a mapping"), " and ".join(bounds)]).strip()


def stages() -> str:
    """Every stage of dvc.yaml: what it does, reads and writes."""
    tree = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    made = {path: name for name, stage in tree.items() for path in outputs(stage)}
    rows = []
    for name, stage in tree.items():
        needs = dict.fromkeys(
            made[path] for dep in stage.get("deps", []) for path in made if path == dep or dep.startswith(f"{path}/")
        )
        read = dict.fromkeys(key.partition(".")[0] for key in stage.get("params", []))
        rows.append(
            (
                f"`{name}`",
                stage["desc"],
                *(", ".join(f"`{name}`" for name in some) or "–" for some in (needs, read, outputs(stage))),
            )
        )
    return table(("stage", "what it does", "reads the output of", "blocks of params.yaml", "writes"), rows)


def outputs(stage: dict[str, Any]) -> list[str]:
    return [
        next(iter(out)) if isinstance(out, dict) else out for out in stage.get("outs", []) + stage.get("metrics", [])
    ]


def commands() -> str:
    """Every command of `ner` with what it takes, in the panels of `ner --help`."""
    from ner.__main__ import PROGRAMS, load

    parts = []
    for panel in dict.fromkeys(program.panel for program in PROGRAMS.values() if program.panel):
        parts.append(f"## {panel}")
        for name in (name for name, program in PROGRAMS.items() if program.panel == panel):
            command = load(name)
            context = command.make_context(name, [], resilient_parsing=True)
            rows = [argument(option, context) for option in command.params if option.name != "help"]
            head = ("argument", "values", "default", "meaning")
            parts += [f"### `ner {name}`", PROGRAMS[name].help, *([table(head, rows)] if rows else [])]
    return "\n\n".join(parts)


def argument(parameter: Any, context: Any) -> tuple[str, ...]:
    """`input` or `--model`, what it takes, what it is where it is left out, and what it means."""
    default = parameter.default
    plain = "" if default is None or default is False or callable(default) else f"`{default}`"
    if isinstance(default, list | tuple):
        plain = ", ".join(f"`{value}`" for value in default)
    flag = getattr(parameter, "is_flag", False)
    values = "" if flag else f"`{parameter.metavar or parameter.display_type(context).strip('<>')}`"
    return f"`{parameter.opts[0]}`", values, plain or ("required" if parameter.required else ""), parameter.help or ""


def targets() -> str:
    """Every target of the Makefile with its explanation."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return table(
        ("command", "what it does"),
        [(f"`make {name}`", about) for name, about in re.findall(r"^([a-z-]+):.*## (.*)$", text, re.MULTILINE)],
    )


def results() -> str:
    """Scores of the committed run with their intervals, by entity type, and of both ways of reading."""
    metrics = json.loads((ROOT / "docs/results/metrics.json").read_text(encoding="utf-8"))
    rows, typed = [], []
    for split in ("validation", "test"):
        scores = metrics[split]
        for name, row in ((split, scores), (f"{split}, each sentence alone", scores["sentence"])):
            rows.append([name, *(f"{row[measure]:.4f}" for measure in MEASURES)])
        cells = {"all": (scores["f1"], scores["interval"]["f1"])}
        cells |= {name: (row["f1"], row["interval"]) for name, row in scores["per_type"].items()}
        typed.append([split, *(f"{f1:.4f} ({low:.4f}–{high:.4f})" for f1, (low, high) in cells.values())])
    both = table(("", *MEASURES), rows), table(("F1 (95 % interval)", *cells), typed)
    return "\n\n".join(both)


def small_corpora() -> str:
    """Trainings on little data, as reports/experiments/small_corpora.csv has them."""
    with (ROOT / "reports/experiments/small_corpora.csv").open(encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    return table(head, rows)


TABLES: dict[str, Callable[[], str]] = {
    "params": params,
    "stages": stages,
    "commands": commands,
    "targets": targets,
    "results": results,
    "small_corpora": small_corpora,
}
