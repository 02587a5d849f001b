"""The picture of the experiments: F1 against seconds of training, a point an idea."""

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from tasks.experiments_file import BASELINE
from tasks.figures import INK, SOFT, SPLIT_COLOURS, Drawing, _empty, _panels, write_figures

TITLES = {"documents": "Sentences in documents", "alone": "Each sentence alone"}


def write_picture(folder: Path, report: dict[str, Any]) -> list[Path]:
    """Draw `folder`/experiments.png."""
    return write_figures(folder, report, {}, {"experiments": Drawing(lambda found, _: draw(found), "")})


def draw(report: dict[str, Any]) -> Figure:
    """A panel a reading. A line shows the lowest and the highest F1 of the seeds."""
    figure, panels = _panels(f"Experiments on {report['source']}", 11, 5.2, columns=2)
    ideas = [idea for idea in report["ideas"] if idea["f1"] and idea["seconds"] is not None]
    for axes, (reading, title) in zip(panels, TITLES.items(), strict=True):
        axes.set(title=title, xlabel=f"seconds of {report['timed']}", ylabel="validation F1 (0 to 1)")
        axes.margins(x=0.25, y=0.12)
        if not ideas:
            _empty(axes)
        for idea in ideas:
            _point(axes, idea, idea["f1"][reading])
    return figure


def _point(axes: Any, idea: dict[str, Any], f1: dict[str, float]) -> None:
    is_baseline = idea["name"] == BASELINE
    colour = INK if is_baseline else SPLIT_COLOURS["validation"]
    axes.plot([idea["seconds"]] * 2, [f1["min"], f1["max"]], color=colour, linewidth=1, alpha=0.6)
    axes.plot(idea["seconds"], f1["mean"], "D" if is_baseline else "o", color=colour, markersize=5)
    place, offset = (idea["seconds"], f1["mean"]), (5, 3)
    axes.annotate(idea["name"], place, offset, textcoords="offset points", fontsize=7, color=SOFT)
    if is_baseline:
        axes.axhline(f1["mean"], color=colour, linewidth=0.7, linestyle=":")
