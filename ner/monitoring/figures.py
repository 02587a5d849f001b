"""The figure of a drift report: the distribution of each value in the window and in the reference."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ner.monitoring.drift.sample import TYPES, VALUES, Sample
from ner.report.drawing import MAX_TYPES, Drawing, Tables, shown

REFERENCE, WINDOW = "#0072B2", "#D55E00"
COLUMNS = 3


def distributions(reference: Sample, window: Sample, block_tokens: int) -> Drawing:
    """Draw a panel for each value: its distribution in the reference and in the window."""

    def draw(report: dict[str, Any], tables: Tables) -> Figure:
        ours, theirs = window.blocks(block_tokens), reference.blocks(block_tokens)
        panels = [(name, theirs.values[:, i], ours.values[:, i]) for i, name in enumerate(VALUES)]
        rows = -(-(len(panels) + 1) // COLUMNS)
        figure = Figure(figsize=(10, 2.5 * rows), layout="constrained")
        figure.suptitle("Reference and window, by block of text", x=0.012, ha="left", fontsize=13)
        axes = figure.subplots(rows, COLUMNS).ravel()
        moved = {move["name"] for move in report["moves"] if move["moved"]}
        for own, (name, before, now) in zip(axes, panels, strict=False):
            for values, colour in ((before, REFERENCE), (now, WINDOW)):
                values = np.sort(values[~np.isnan(values)])
                own.step(values, np.arange(1, len(values) + 1) / max(len(values), 1), color=colour, where="post")
            own.set_title(f"{name}{': drifted' if name in moved else ''}")
            own.set_ylim(0, 1)
        _types(axes[len(panels)], reference, window, TYPES in moved)
        for own in axes[len(panels) + 1 :]:
            own.set_visible(False)
        axes[0].plot([], [], color=REFERENCE, label="reference")
        axes[0].plot([], [], color=WINDOW, label="window")
        axes[0].set_ylabel("share of the blocks up to it")
        figure.legend(loc="outside upper right", ncols=2)
        return figure

    return Drawing(draw, "The distribution of each value in the reference and in the window, cumulated.")


def _types(axes: Any, reference: Sample, window: Sample, moved: bool) -> None:
    shares = [sample.counts.sum(0) / max(sample.counts.sum(), 1) for sample in (reference, window)]
    most = np.argsort(-(shares[0] + shares[1]), kind="stable")[:MAX_TYPES]
    places = np.arange(len(most))
    for offset, share, colour in ((-0.2, shares[0], REFERENCE), (0.2, shares[1], WINDOW)):
        axes.bar(places + offset, share[most], 0.38, color=colour)
    axes.set_xticks(places, [shown(reference.types[index]) for index in most])
    axes.set_title(f"{TYPES}{': drifted' if moved else ''}")
