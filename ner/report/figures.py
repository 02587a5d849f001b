"""The pictures of a model's scores: training, types, slices, confusion, thresholds, reliability.

write_figures(Path("reports/figures"), metrics, tables, FIGURES)      # tables: {"slices": pd.read_csv(…), …}
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter, NullLocator, PercentFormatter

from ner.evaluation.error_analysis import NONE
from ner.report.drawing import (
    INK,
    MAX_TYPES,
    SPLIT_COLOURS,
    SPLITS,
    Drawing,
    Tables,
    empty,
    legend,
    make_panels,
    shown,
)

MEASURES = {"precision": ("#009E73", "--"), "recall": ("#CC79A7", "-."), "f1": (INK, "-")}
WORDS = {"precision": "precision", "recall": "recall", "f1": "F1"}
OTHERS = "other types"
LINES = "Lines are intervals of the bootstrap; in brackets, annotated entities of validation and test."
MAX_CONFUSED = 12  # types that a matrix can show


def draw_training(metrics: dict[str, Any], tables: Tables) -> Figure:
    history, loss = tables["history"], tables["loss"]
    figure, (left, right) = make_panels("Training", 10, 3.9, columns=2)
    left.plot(loss["epoch"], loss["loss"], color="#56B4E9", linewidth=1, label="training, by step")
    colour = SPLIT_COLOURS["validation"]
    left.plot(history["epoch"], history["validation_loss"], "o-", color=colour, label="validation, by epoch")
    left.set(title="Loss (log scale)", xlabel="epoch", ylabel="cross-entropy (nats a token)", yscale="log")
    left.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    left.yaxis.set_minor_formatter(NullFormatter())
    for name, (colour, line) in MEASURES.items():
        right.plot(history["epoch"], history[name], line, marker="o", markersize=5, color=colour, label=WORDS[name])
    right.set(title="Validation after each epoch", xlabel="epoch", ylabel="score (0 to 1)")
    right.margins(x=0.08, y=0.1)
    right.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes, rows in ((left, len(loss) + len(history)), (right, len(history))):
        if not rows:
            empty(axes)
    legend(left)
    if len(history):
        best = history.loc[history["f1"].idxmax()]
        right.set_title(f"Validation after each epoch: best F1 {best['f1']:.3f}, epoch {best['epoch']:g}")
        legend(right)
    return figure


def draw_thresholds(metrics: dict[str, Any], tables: Tables) -> Figure:
    figure, panels = make_panels("Keeping only what the model is sure of", 10, 3.9, columns=2, sharey=True)
    lowest = 1.0
    for axes, split in zip(panels, SPLITS, strict=True):
        rows = _of(tables["thresholds"], split)
        rows = rows[rows["predicted"] > 0]  # of nothing there is no precision
        for name, (colour, line) in MEASURES.items():
            axes.plot(rows["threshold"], rows[name], line, color=colour, label=WORDS[name])
        axes.set(title=split, xlabel="least confidence that an entity must have (0 to 1)", xlim=(0, 1))
        if not len(rows):
            empty(axes)
            continue
        best = rows.loc[rows["f1"].idxmax()]
        axes.plot(best["threshold"], best["f1"], "o", color=MEASURES["f1"][0], clip_on=False)
        axes.set_title(f"{split}: best F1 {best['f1']:.3f}, at {best['threshold']:.2f}")
        lowest = min(lowest, rows.loc[rows["threshold"] <= 0.9, ["precision", "recall", "f1"]].min().min())
        legend(axes, loc="lower left")
    panels[0].set(ylabel="score (0 to 1)", ylim=(max(0, np.floor(lowest * 10 - 0.5) / 10), 1.005))
    return figure


def draw_confusion(metrics: dict[str, Any], tables: Tables) -> Figure:
    names, total = _most_frequent(metrics, MAX_CONFUSED)
    ends = [OTHERS, NONE] if len(names) < total else [NONE]
    labels = [*map(shown, names), *ends]
    is_stacked = len(labels) > 8
    height = 2 * (1.8 + 0.46 * len(labels)) if is_stacked else max(3.4, 1.7 + 0.72 * len(labels))
    columns, rows = (1, 2) if is_stacked else (2, 1)
    title = f"Annotated and predicted types{_limited(len(names), total)}"
    figure, panels = make_panels(title, 10, height, columns, rows)
    for axes, split in zip(panels, SPLITS, strict=True):
        counts = _matrix(_of(tables["confusion"], split), names, ends)
        image = _draw_matrix(axes, counts, labels, hidden=len(ends))
        axes.set(title=f"{split} (entities)", xlabel="predicted", ylabel="annotated")
    bar = figure.colorbar(image, ax=list(panels), shrink=0.8, pad=0.015, aspect=28, ticks=[0, 0.01, 0.05, 0.2, 0.5, 1])
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    bar.set_label("share of the row")
    bar.outline.set_visible(False)
    return figure


def draw_types(metrics: dict[str, Any], tables: Tables) -> Figure:
    names, total = _most_frequent(metrics, MAX_TYPES)
    overall = {
        split: (metrics[split]["f1"], *metrics[split]["interval"]["f1"], metrics[split]["support"]) for split in SPLITS
    }
    rows: list[tuple[str, Any]] = [("all types", overall)]
    for name in names:
        per_type = {split: metrics[split]["per_type"].get(name) for split in SPLITS}
        rows.append((name, {s: (row["f1"], *row["interval"], row["support"]) for s, row in per_type.items() if row}))
    return _forest(f"F1 by entity type{_limited(len(names), total)}", rows, metrics)


def draw_reliability(metrics: dict[str, Any], tables: Tables) -> Figure:
    figure, panels = make_panels(
        "Can the confidence be believed?", 10, 5.2, columns=2, rows=2, height_ratios=(3.2, 1), sharex=True, sharey="row"
    )
    kinds = {"none": ("before", "#999999", "s--", "ece_before"), "fitted": ("after", None, "o-", "ece")}
    for index, split in enumerate(SPLITS):
        above, below = panels[0][index], panels[1][index]
        above.plot([0, 1], [0, 1], color="#aeb7c2", linewidth=1, linestyle=":", label="exactly as sure as right")
        every = _of(tables["reliability"], split)
        for kind, (word, colour, line, error) in kinds.items():
            rows = every[every["temperature"] == kind]
            ece = metrics[split]["calibration"].get(error)
            name = f"{word} temperature"
            name = f"{name} {metrics['temperature']:.2f}" if kind == "fitted" else name
            label = name if ece is None else f"{name}: ECE {ece:.3f}"
            above.plot(
                rows["score"], rows["precision"], line, markersize=5, color=colour or SPLIT_COLOURS[split], label=label
            )
        rows = every[every["temperature"] == "fitted"]
        below.bar(rows["low"], rows["entities"], width=0.094, align="edge", color=SPLIT_COLOURS[split], alpha=0.75)
        below.set(xlabel="confidence (0 to 1)", xlim=(0, 1))
        below.set_yscale("symlog", linthresh=1)
        below.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        below.yaxis.set_minor_locator(NullLocator())
        above.set_title(f"{split}: {int(rows['entities'].sum()):,} predicted entities")
        above.set(ylim=(0, 1.02))
        legend(above, loc="upper left", fontsize=8.5)
    panels[0][0].set_ylabel("share that is right (0 to 1)")
    panels[1][0].set_ylabel("entities (log)")
    return figure


def draw_slices(metrics: dict[str, Any], tables: Tables) -> Figure:
    every = tables["slices"]
    rows: list[tuple[str, Any]] = []
    for name, group in every.groupby("slice", sort=False):
        rows.append((str(name), None))
        for value, own in group.groupby("value", sort=False):
            numbers = own.set_index("split")[["f1", "f1_low", "f1_high", "support"]]
            rows.append((f"{value}", {split: tuple(numbers.loc[split]) for split in SPLITS if split in numbers.index}))
    return _forest("F1 on parts of each split", rows, metrics)


FIGURES = {
    "training": Drawing(draw_training, "The loss of the training, and the validation scores after each epoch."),
    "types": Drawing(draw_types, f"F1 of each entity type. {LINES}"),
    "slices": Drawing(draw_slices, f"F1 on kinds of entities and sentences. {LINES}"),
    "confusion": Drawing(
        draw_confusion, "Rows: annotated. Columns: predicted. Entities that overlap are compared by their type."
    ),
    "thresholds": Drawing(draw_thresholds, "Precision, recall and F1 where entities of less confidence are dropped."),
    "reliability": Drawing(
        draw_reliability,
        "Of the entities with a confidence, the share that is right, before and after the temperature that was fitted "
        "on validation. ECE: the expected calibration error. Below: how many entities there are.",
    ),
}


def _matrix(rows: pd.DataFrame, names: Sequence[str], ends: Sequence[str]) -> np.ndarray:
    """Return entities by annotated and predicted type, [n, n], in the order of names, ends; the rest are OTHERS."""
    places = [*names, *ends]
    rows = rows.assign(**{side: rows[side].where(rows[side].isin(places), OTHERS) for side in ("gold", "predicted")})
    counts = rows.groupby(["gold", "predicted"])["entities"].sum().unstack(fill_value=0)
    return counts.reindex(index=places, columns=places, fill_value=0).to_numpy(float)


def _draw_matrix(axes: Axes, counts: np.ndarray, labels: Sequence[str], hidden: int) -> Any:
    """Draw counts, coloured by their share of the row; the last `hidden` cells of the diagonal stay empty."""
    size = len(labels)
    whole = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, whole, out=np.zeros_like(counts), where=whole > 0)
    hide = np.diag([False] * (size - hidden) + [True] * hidden)
    image = axes.imshow(np.where(hide, 0, share), cmap="Blues", norm=PowerNorm(0.45, 0, 1), aspect="auto")
    for (row, column), count in np.ndenumerate(counts):
        text = "–" if hide[row, column] else f"{count:,.0f}" if count else ""
        ink = "white" if share[row, column] > 0.35 and not hide[row, column] else INK
        axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=9 if size < 9 else 8)
    is_tight = max(map(len, labels)) * size > 56
    turned: dict[str, Any] = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if is_tight else {}
    axes.set_xticks(range(size), labels, **turned)
    axes.set_yticks(range(size), labels)
    for set_ticks in (axes.set_xticks, axes.set_yticks):
        set_ticks(np.arange(size + 1) - 0.5, minor=True)
    axes.grid(False)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    return image


def _forest(title: str, rows: Sequence[tuple[str, Any]], metrics: dict[str, Any]) -> Figure:
    """Draw a line per row, top to bottom: name, support, F1 of both splits with interval. A row without scores is a
    heading.

    rows: (name, {split: (f1, low, high, support)}).
    """
    figure, axes = make_panels(title, 10, 1.35 + 0.36 * max(len(rows), 3))
    if not rows:
        empty(axes)
        return figure
    confidence, lowest = metrics["bootstrap"]["confidence"], 1.0
    for offset, split, marker in ((-0.14, "validation", "o"), (0.14, "test", "D")):
        own = [
            (place + offset, *scores[split][:3]) for place, (_, scores) in enumerate(rows) if split in (scores or {})
        ]
        at, f1, low, high = np.array(own, float).reshape(-1, 4).T
        axes.hlines(at, low, high, color=SPLIT_COLOURS[split], linewidth=2, alpha=0.55)
        label = f"{split}, with {confidence:.0%} interval"
        axes.plot(f1, at, marker, color=SPLIT_COLOURS[split], markersize=5, label=label)
        lowest = min([lowest, *low])
    axes.set_yticks(range(len(rows)), [_label(name, scores) for name, scores in rows])
    for tick, (_, scores) in zip(axes.get_yticklabels(), rows, strict=True):
        tick.set_weight("bold" if scores is None else "normal")
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    axes.set(
        ylim=(max(len(rows), 3) - 0.4, -0.6), xlim=(max(0.0, np.floor(lowest * 20) / 20), 1.0), xlabel="F1 (0 to 1)"
    )
    axes.spines["left"].set_visible(False)
    axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=2, borderaxespad=0.2)
    return figure


def _label(name: str, scores: Any) -> str:
    """Return a row's name, and how many entities validation and test have of it."""
    if scores is None:
        return name
    supports = [f"{int(scores[split][3]):,}" if split in scores else "–" for split in SPLITS]
    return f"{shown(name)} ({' and '.join(supports)})"


def _of(table: pd.DataFrame, split: str) -> pd.DataFrame:
    return table[table["split"] == split]


def _most_frequent(metrics: dict[str, Any], limit: int) -> tuple[list[str], int]:
    """Return the types with most annotated entities in both splits, in alphabetical order, and how many there are."""
    support: dict[str, int] = {}
    for split in SPLITS:
        for name, row in metrics[split]["per_type"].items():
            support[name] = support.get(name, 0) + row["support"]
    return sorted(sorted(support, key=lambda name: (-support[name], name))[:limit]), len(support)


def _limited(drawn: int, total: int) -> str:
    return f" (the {drawn} most frequent of {total})" if drawn < total else ""
