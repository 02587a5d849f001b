"""The picture of a sweep: F1 of its trials in order, and over the values of each key."""

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from tasks.figures import INK, SOFT, SPLIT_COLOURS, Drawing, _empty, _legend, _panels, write_figures

COLOURS = {"complete": SPLIT_COLOURS["validation"], "pruned": SPLIT_COLOURS["test"]}
FEW = 4
MARKS = {"complete": "o", "pruned": "x"}


def write_picture(folder: Path, report: dict[str, Any]) -> list[Path]:
    """Draw `folder`/sweep.png."""
    return write_figures(folder, report, {}, {"sweep": Drawing(lambda found, _: draw_sweep(found), "")})


def draw_sweep(report: dict[str, Any]) -> Figure:
    """A panel for the trials in order, with the best so far, then one for each key of the space."""
    keys = [(block, key) for block, values in report["present"]["values"].items() for key in values]
    columns = min(3, len(keys) + 1)
    rows = -(-(len(keys) + 1) // columns)
    title = f"Sweep of {len(report['trials'])} trials on {report['source']}"
    figure, grid = _panels(title, 3.6 * columns, 2.9 * rows, columns=columns, rows=rows, squeeze=False, sharey=True)
    panels = list(grid.flat)
    for axes in panels[len(keys) + 1 :]:
        axes.set_visible(False)
    trials = [trial for trial in report["trials"] if trial["f1"] is not None]
    _points(panels[0], trials, lambda trial: trial["number"])
    _best_so_far(panels[0], trials)
    panels[0].set(title="In order", xlabel="trial", ylabel="validation F1 (0 to 1)")
    for axes, (block, key) in zip(panels[1:], keys, strict=False):
        values = [trial["values"][block][key] for trial in trials]
        plain = not all(isinstance(value, int | float) for value in values)
        _points(axes, trials, lambda t, b=block, k=key, p=plain: str(t["values"][b][k]) if p else t["values"][b][k])
        axes.set(xlabel=f"{block}.{key}")
        if not plain:
            _number_axis(axes, sorted(set(values)))
    return figure


def _number_axis(axes: Any, values: list[float]) -> None:
    """The values themselves where there are few, and a logarithmic axis where they are of several magnitudes."""
    if len(values) <= FEW:
        axes.set_xticks(values)
    elif values[0] > 0 and values[-1] / values[0] > 8:
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _points(axes: Any, trials: list[dict[str, Any]], place: Any) -> None:
    if not trials:
        _empty(axes)
    for state, mark in MARKS.items():
        some = [trial for trial in trials if trial["state"] == state]
        if some:
            axes.plot([place(t) for t in some], [t["f1"] for t in some], mark, color=COLOURS[state], label=state)


def _best_so_far(axes: Any, trials: list[dict[str, Any]]) -> None:
    complete = [trial for trial in trials if trial["state"] == "complete"]
    best = [max(t["f1"] for t in complete[: index + 1]) for index in range(len(complete))]
    if best:
        axes.step([t["number"] for t in complete], best, where="post", color=INK, linewidth=1, label="best so far")
        _legend(axes, labelcolor=SOFT)
