"""The picture of a comparison: the difference of F1 with its interval, overall and by entity type, for each split."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ner.comparison import CHALLENGER, CHAMPION
from tasks.figures import INK, MAX_TYPES, SOFT, SPLIT_COLOURS, Drawing, Tables, shown

MARKERS = {"validation": "o", "test": "D"}


def draw_difference(found: Mapping[str, Any], tables: Tables) -> Figure:
    """A line a type, all of them together first. Right of 0 the challenger is better. found: of comparison.json."""
    splits = found["splits"]
    names = _most_frequent(splits)
    lines = {"all types": {split: told["overall"] for split, told in splits.items()}}
    lines |= {name: {s: t["per_type"][name] for s, t in splits.items() if name in t["per_type"]} for name in names}
    figure = Figure(figsize=(10, 2.1 + 0.42 * len(lines)), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.08)
    title = f"{found[CHALLENGER]['name']} against {found[CHAMPION]['name']}: difference of F1"
    figure.suptitle(shown_title(title), x=0.012, ha="left", fontsize=13, weight="bold")
    axes = figure.subplots()
    offsets = dict(zip(splits, np.linspace(-0.15, 0.15, len(splits)) if len(splits) > 1 else [0.0], strict=True))
    confidence = found["bootstrap"]["confidence"]
    for split, offset in offsets.items():
        label = f"{split}, with {100 * confidence:g} % interval"
        axes.plot([], [], MARKERS[split], color=SPLIT_COLOURS[split], label=label)
        for place, of in enumerate(lines.values()):
            if split in of:
                _line(axes, of[split], place + offset, split)
    axes.axvline(0, color=INK, linewidth=1)
    axes.set_yticks(range(len(lines)), [f"{shown(name)}{_support(of)}" for name, of in lines.items()])
    axes.tick_params(axis="y", length=0)
    axes.set(ylim=(len(lines) - 0.4, -0.6), xlabel="F1 of the challenger minus F1 of the champion")
    axes.grid(axis="y", visible=False)
    most = max(*(abs(limit) for limit in axes.get_xlim()), 0.001)
    axes.set_xlim(-most, most)
    for x, text, align in ((0.0, "◂ champion better", "left"), (1.0, "challenger better ▸", "right")):
        axes.annotate(
            text, (x, 0), (0, -30), xycoords="axes fraction", textcoords="offset points", ha=align, color=SOFT
        )
    axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=2, borderaxespad=0.2)
    return figure


def shown_title(text: str) -> str:
    """Short enough for one line."""
    return text if len(text) <= 90 else f"{text[:44]}…{text[-44:]}"


def _line(axes: Any, said: Mapping[str, Any], place: float, split: str) -> None:
    colour = SPLIT_COLOURS[split]
    axes.plot(said["interval"], [place, place], color=colour, linewidth=2, alpha=0.55, solid_capstyle="butt")
    axes.plot(said["difference"], place, MARKERS[split], color=colour, markersize=5)


def _support(of: Mapping[str, Mapping[str, Any]]) -> str:
    return "\n" + " + ".join(f"{said['support']:,}" for said in of.values()) + " annotated"


def _most_frequent(splits: Mapping[str, Any]) -> list[str]:
    """The types with most annotated entities, in alphabetical order."""
    support: dict[str, int] = {}
    for told in splits.values():
        for name, said in told["per_type"].items():
            support[name] = support.get(name, 0) + said["support"]
    return sorted(sorted(support, key=lambda name: (-support[name], name))[:MAX_TYPES])


PICTURE = Drawing(
    draw_difference,
    "The difference of F1, overall and by entity type, with the interval of the paired bootstrap. Where a line does "
    "not cross 0 the two differ.",
)
