"""Style of all figures: colours, fonts, panels, and PNG files that are equal for equal tables.

write_figures(Path("reports/figures"), metrics, tables, {"types": Drawing(draw_types, "F1 of each entity type.")})

Colours are those of Okabe and Ito, "Color Universal Design" (2008), which colour-blind readers can tell apart.
"""

import re
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import pandas as pd
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.typing import RcKeyType

from ner.common.files import replacing_file, replacing_folder

SPLITS = ("validation", "test")
INK, SOFT = "#1b2430", "#5b6675"
SPLIT_COLOURS = {"validation": "#0072B2", "test": "#D55E00"}
MAX_TYPES = 25  # that a chart can show
MAX_NAME = 26  # characters of a type
DPI = 144
STYLE: dict[RcKeyType, Any] = {
    "axes.edgecolor": "#aeb7c2",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.labelcolor": SOFT,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "font.size": 9,
    "grid.color": "#e8ecf1",
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "text.color": INK,
    "text.parse_math": False,  # a type may be called $x$
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
}
FALLBACK_FONTS = (
    "Noto Sans CJK JP", "Noto Sans CJK SC", "WenQuanYi Zen Hei", "Droid Sans Fallback", "Noto Sans Devanagari",
    "Noto Sans Thai", "Noto Sans Bengali", "Noto Sans Tamil", "Arial Unicode MS", "Hiragino Sans", "Microsoft YaHei",
)  # fmt: skip

Tables = dict[str, pd.DataFrame]


class Drawing(NamedTuple):
    """A function that draws a figure, and its caption."""

    draw: Callable[[dict[str, Any], Tables], Figure]
    caption: str


def write_figures(folder: Path, metrics: dict[str, Any], tables: Tables, drawings: Mapping[str, Drawing]) -> list[Path]:
    """Draw all of `drawings` in place of `folder` and return their paths.

    metrics: of reports/metrics.json. tables: the CSV files of stages `train` and `evaluate`, by name.
    """
    with replacing_folder(folder) as temporary:
        for name, drawing in drawings.items():
            write_figure(temporary / f"{name}.png", partial(drawing.draw, metrics, tables))
    return [folder / f"{name}.png" for name in drawings]


def write_figure(path: Path, draw: Callable[[], Figure]) -> None:
    """Write what `draw` returns as PNG, in our style."""
    with matplotlib.rc_context({**STYLE, "font.family": _fonts()}), replacing_file(path) as temporary:
        figure = draw()
        FigureCanvasAgg(figure)
        # Without the name and version of matplotlib, which would make other bytes of the same picture.
        figure.savefig(temporary, format="png", dpi=DPI, metadata={"Software": None})


def shown(name: str) -> str:
    """Return a type's name as a figure can show it: short, and with an escape for what no font here has."""
    name = re.sub(r"\s", " ", name)
    if len(name) > MAX_NAME:
        name = f"{name[: MAX_NAME // 2]}…{name[-(MAX_NAME // 2 - 1) :]}"
    has_glyph = (c.isprintable() and any(ord(c) in glyphs for glyphs in _charmaps()) for c in name)
    return "".join(c if has else c.encode("unicode_escape").decode() for c, has in zip(name, has_glyph, strict=True))


def make_panels(
    title: str, width: float, height: float, columns: int = 1, rows: int = 1, **options: Any
) -> tuple[Figure, Any]:
    """Return a figure with a title and its axes: one, or an array of rows and columns. Sizes in inches."""
    figure = Figure(figsize=(width, height))
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.08, wspace=0.04)
    figure.suptitle(title, x=0.012, ha="left", fontsize=13, weight="bold")
    return figure, figure.subplots(rows, columns, **options)


def legend(axes: Axes, **options: Any) -> None:
    """Draw the legend, with lines long enough to show their dashes."""
    axes.legend(handlelength=2.4, **options)


def empty(axes: Axes) -> None:
    """Write into axes without data that there is nothing to show."""
    axes.text(0.5, 0.5, "nothing to show", transform=axes.transAxes, ha="center", va="center", color=SOFT)
    axes.set(xticks=[], yticks=[])


@cache
def _fonts() -> list[str]:
    installed = {font.name for font in font_manager.fontManager.ttflist}
    return ["DejaVu Sans", *(name for name in FALLBACK_FONTS if name in installed)]


@cache
def _charmaps() -> list[Mapping[int, int]]:
    return [font_manager.get_font(font_manager.findfont(name)).get_charmap() for name in _fonts()]
