"""The simulation of drift as a table for docs/drift.md and as a picture; both of reports/drift.json alone."""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from tasks.figures import INK, Drawing, Tables, write_figures
from tasks.io import replacing_file

QUIET = ("validation", "no noise", "test, months later")
MOST = 3  # values that are named as the ones that moved


def markdown(found: Mapping[str, Any]) -> str:
    """A table a unit: a row a kind and strength, a column a size of the window, and which values moved."""
    lines = []
    for unit, sizes, rows in by_unit(found):
        heads = [f"{size:,} {unit}s" for size in sizes]
        lines += [f"| windows of {unit}s | " + " | ".join(heads) + " | moved most often, in the largest |"]
        lines += ["|---|" + "---|" * (len(sizes) + 1)]
        for name, cells in rows.items():
            rates = [f"{cells[size]['rate']:.1%} ({between(cells[size])})" if size in cells else "–" for size in sizes]
            why = ", ".join(list(cells[max(cells)]["moved"])[:MOST])
            lines.append(f"| {name} | " + " | ".join(rates) + f" | {why} |")
        lines.append("")
    share = found["cost"]["observing_s"] / found["cost"]["reading_s"]
    lines.append(f"To observe the texts and to write what is kept took {share:.1%} of the time that reading them took.")
    return "\n".join(lines) + "\n"


def between(cell: Mapping[str, Any]) -> str:
    return "{:.1%}–{:.1%}".format(*cell["interval"])


def by_unit(found: Mapping[str, Any]) -> Iterator[tuple[str, list[int], dict[str, dict[int, Any]]]]:
    """(unit, sizes, rows): of each row the cell of each size; what must stay quiet first."""
    results = sorted(found["results"], key=lambda one: (one["kind"] not in QUIET, one["kind"] != "validation"))
    for unit in dict.fromkeys(one["unit"] for one in found["results"]):
        own = [one for one in results if one["unit"] == unit]
        rows: dict[str, dict[int, Any]] = {}
        for one in own:
            name = one["kind"] + (f", {one['strength']:.0%}" if one["strength"] else "")
            rows.setdefault(name, {})[one["texts"]] = one
        yield unit, sorted({one["texts"] for one in own}), rows


def write_picture(found: dict[str, Any], path: Path) -> None:
    """A panel a unit: the share of the windows that alarm, by what the text is and the size of the window."""
    with tempfile.TemporaryDirectory() as scratch, replacing_file(path) as temporary:
        (picture,) = write_figures(Path(scratch) / "figures", found, {}, {"drift": Drawing(draw, "")})
        temporary.write_bytes(picture.read_bytes())


def draw(found: dict[str, Any], tables: Tables) -> Figure:
    panels = list(by_unit(found))
    figure = Figure(figsize=(10, 1.6 + 0.3 * max(len(rows) for _, _, rows in panels)), layout="constrained")
    figure.suptitle("Share of the windows that alarm", x=0.012, ha="left", fontsize=13, weight="bold")
    for axes, (unit, sizes, rows) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        shares = np.array(
            [[cells[size]["rate"] if size in cells else np.nan for size in sizes] for cells in rows.values()]
        )
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for (row, column), share in np.ndenumerate(shares):
            axes.text(
                column,
                row,
                "–" if np.isnan(share) else f"{share:.1%}",
                ha="center",
                va="center",
                color="white" if share > 0.6 else INK,
            )
        axes.set_xticks(range(len(sizes)), [f"{size:,}" for size in sizes])
        axes.set_yticks(range(len(rows)), list(rows))
        axes.set_xlabel(f"{unit}s in a window")
        axes.grid(False)
        axes.tick_params(length=0)
    return figure
