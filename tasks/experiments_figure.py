"""The picture of the experiments: difference of F1 to the baseline with its interval, and cost, a line an idea."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ner.comparison import BETTER, UNDECIDED, WORSE
from tasks.experiments_file import BASELINE
from tasks.experiments_report import WORDS
from tasks.figures import INK, SOFT, SPLIT_COLOURS, Drawing, _empty, _panels, write_figures

TITLES = {"documents": "Sentences in documents", "alone": "Each sentence alone"}
COLOURS = {WORDS[BETTER]: "#009E73", WORDS[WORSE]: "#D55E00", WORDS[UNDECIDED]: SOFT}
FAR = 0.05  # a difference beyond this is told by a number at the edge, unless all are


def write_picture(folder: Path, report: dict[str, Any]) -> list[Path]:
    """Draw `folder`/experiments.png."""
    return write_figures(folder, report, {}, {"experiments": Drawing(lambda found, _: draw(found), "")})


def draw(report: dict[str, Any]) -> Figure:
    """Ideas from the best F1 down; a panel a reading, and one of the seconds of training as a ratio to the baseline."""
    ideas = [idea for idea in report["ideas"] if idea["difference"]]
    ideas.sort(key=lambda idea: -idea["difference"]["documents"]["difference"])
    figure, panels = _panels(
        f"Experiments on {report['source']}",
        12,
        2.0 + 0.28 * max(3, len(ideas)),
        columns=3,
        sharey=True,
        width_ratios=(3, 3, 2),
    )
    baseline = next((idea for idea in report["ideas"] if idea["name"] == BASELINE and idea["f1"]), None)
    for axes, (reading, title) in zip(panels, TITLES.items(), strict=False):
        level = f", baseline {baseline['f1'][reading]['mean']:.4f}" if baseline else ""
        axes.set(title=title, xlabel=f"validation F1 minus the baseline's{level}")
        axes.axvline(0, color=INK, linewidth=1)
        _differences(axes, [idea["difference"][reading] for idea in ideas])
    _costs(panels[2], ideas, report["timed"])
    if not ideas:
        for axes in panels:
            _empty(axes)
        return figure
    seeds = [len(idea["seeds"]) for idea in ideas]
    names = [f"{idea['name']} ({number} seed{'s' * (number > 1)})" for idea, number in zip(ideas, seeds, strict=True)]
    panels[0].set_yticks(range(len(ideas)), names)
    panels[0].set_ylim(len(ideas) - 0.4, -0.6)
    for axes in panels:
        axes.tick_params(axis="y", length=0)
    return figure


def _differences(axes: Axes, told: list[dict[str, Any]]) -> None:
    """A point with its interval; one that is far off is an arrow, so that the others can be told apart."""
    near = [one for one in told if abs(one["difference"]) <= FAR] or told
    edge = 1.1 * max([0.001, *(abs(end) for one in near for end in one["interval"])])
    axes.set_xlim(-edge, edge)
    for place, one in enumerate(told):
        colour = COLOURS[one["outcome"]]
        if one in near:
            axes.plot(one["interval"], [place, place], color=colour, linewidth=2, alpha=0.55, solid_capstyle="butt")
            axes.plot(one["difference"], place, "o", color=colour, markersize=5)
            continue
        side = 1 if one["difference"] > 0 else -1
        axes.plot(side * edge * 0.97, place, ">" if side > 0 else "<", color=colour, markersize=6)
        at = (side * edge * 0.93, place)
        align = "right" if side > 0 else "left"
        axes.annotate(f"{one['difference']:+.3f}", at, va="center", ha=align, fontsize=8, color=colour)


def _costs(axes: Axes, ideas: list[dict[str, Any]], timed: str) -> None:
    axes.set(title="Cost", xlabel=f"seconds of {timed}, x baseline")
    axes.axvline(1, color=INK, linewidth=1)
    for place, idea in enumerate(ideas):
        if idea["ratio"] is not None:
            axes.plot([1, idea["ratio"]], [place, place], color=SPLIT_COLOURS["validation"], linewidth=2, alpha=0.55)
            axes.plot(idea["ratio"], place, "o", color=SPLIT_COLOURS["validation"], markersize=5)
