"""The pictures of a window held against a reference: how far each value moved, and the distributions themselves."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ner.drift_sample import TYPES, VALUES, Sample
from tasks.figures import INK, MAX_TYPES, SOFT, Drawing, Tables, shown

REFERENCE, WINDOW = "#0072B2", "#D55E00"
COLUMNS = 3


def draw_distances(found: dict[str, Any], tables: Tables) -> Figure:
    """A bar a value, and how far it may be by chance. found: as tasks.monitor writes it."""
    moves = found["moves"]
    figure = Figure(figsize=(10, 1.9 + 0.36 * len(moves)), layout="constrained")
    figure.suptitle(f"{found['version']}: how far each value is from the reference", x=0.012, ha="left", fontsize=13)
    axes = figure.subplots()
    for place, move in enumerate(moves):
        colour = WINDOW if move["moved"] else REFERENCE
        axes.barh(place, move["distance"], 0.6, color=colour, alpha=0.8)
        axes.plot([move["allowed"]] * 2, [place - 0.4, place + 0.4], color=INK, linewidth=2)
        axes.text(max(move["distance"], move["allowed"]), place, f"  {move['distance']:.2f}", va="center", color=SOFT)
    axes.plot([], [], color=INK, linewidth=2, label="allowed: by chance, or too little to matter")
    axes.set_yticks(range(len(moves)), [move["name"] for move in moves])
    axes.set(ylim=(len(moves) - 0.4, -0.6), xlim=(0, 1), xlabel="distance of the distributions (0 to 1)")
    axes.grid(axis="y", visible=False)
    axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.0), borderaxespad=0.2)
    return figure


def distributions(reference: Sample, window: Sample, block_tokens: int) -> Drawing:
    """A panel a value: its distribution in the reference and in the window."""

    def draw(found: dict[str, Any], tables: Tables) -> Figure:
        ours, theirs = window.blocks(block_tokens), reference.blocks(block_tokens)
        panels = [(name, theirs.values[:, i], ours.values[:, i]) for i, name in enumerate(VALUES)]
        rows = -(-(len(panels) + 1) // COLUMNS)
        figure = Figure(figsize=(10, 2.5 * rows), layout="constrained")
        figure.suptitle("Reference and window, by block of text", x=0.012, ha="left", fontsize=13)
        axes = figure.subplots(rows, COLUMNS).ravel()
        moved = {move["name"] for move in found["moves"] if move["moved"]}
        for own, (name, before, now) in zip(axes, panels, strict=False):
            for values, colour in ((before, REFERENCE), (now, WINDOW)):
                values = np.sort(values[~np.isnan(values)])
                own.step(values, np.arange(1, len(values) + 1) / max(len(values), 1), color=colour, where="post")
            own.set_title(f"{name}{': moved' if name in moved else ''}")
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
    shares = [one.counts.sum(0) / max(one.counts.sum(), 1) for one in (reference, window)]
    most = np.argsort(-(shares[0] + shares[1]), kind="stable")[:MAX_TYPES]
    places = np.arange(len(most))
    for offset, share, colour in ((-0.2, shares[0], REFERENCE), (0.2, shares[1], WINDOW)):
        axes.bar(places + offset, share[most], 0.38, color=colour)
    axes.set_xticks(places, [shown(reference.types[index]) for index in most])
    axes.set_title(f"{TYPES}{': moved' if moved else ''}")


DISTANCES = Drawing(draw_distances, "The distance of each value's distribution from the reference.")
