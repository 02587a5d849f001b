"""Figures are the same bytes each time, whatever the types are called and however many there are."""

import io
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from ner.evaluation.error_analysis import CATEGORIES, NONE
from ner.report.drawing import MAX_NAME, MAX_TYPES, Drawing, shown, write_figures
from ner.report.figures import FIGURES, draw_confusion, draw_types

STRANGE = ["$x^$", "<b>", "日本語", "العربية", "a" * 300, "NA", "\x1b[1m", "🙂", "_", "%s", "{0}"]


def metrics(types: list[str]) -> dict:
    row = {"f1": 0.8, "interval": [0.7, 0.9], "support": 10}
    split = {
        "f1": 0.8,
        "interval": {"f1": [0.7, 0.9]},
        "support": 10 * len(types),
        "per_type": {name: {**row, "support": 10 + index} for index, name in enumerate(types)},
        "calibration": {"ece": 0.02 if types else None, "ece_before": 0.05 if types else None},
        "mistakes": dict.fromkeys(CATEGORIES, 3 if types else 0),
    }
    return {"temperature": 1.2, "bootstrap": {"confidence": 0.95}, "validation": split, "test": split}


def tables(types: list[str]) -> dict[str, pd.DataFrame]:
    rows = 2 if types else 0
    both = [
        pd.DataFrame(
            {
                "split": split,
                "threshold": [0.0, 1.0],
                "precision": [0.8, 0.0],
                "recall": [0.9, 0.0],
                "f1": [0.85, 0.0],
                "predicted": [40, 0],
            }
        )
        for split in ("validation", "test")
    ]
    reliability = {"split": "test", "temperature": ["none", "fitted"], "low": 0.9, "score": 0.95, "precision": 0.9}
    slices = {"split": ["validation", "test"], "slice": "all capitals", "value": "yes", "f1": 0.8}
    return {
        "history": pd.DataFrame(
            {"epoch": [1, 2], "validation_loss": 0.1, "precision": 0.8, "recall": 0.9, "f1": [0.8, 0.85]}
        )[:rows],
        "loss": pd.DataFrame({"epoch": np.linspace(0.1, 2, 20), "loss": np.geomspace(2, 0.05, 20)})[: 10 * rows],
        "thresholds": pd.concat(both)[: 2 * rows],
        "reliability": pd.DataFrame({**reliability, "entities": 40})[:rows],
        "slices": pd.DataFrame({**slices, "f1_low": 0.7, "f1_high": 0.9, "support": 9})[:rows],
        "confusion": pd.DataFrame(
            [(s, a, b, 5) for s in ("validation", "test") for a in types for b in (a, types[0], NONE)],
            columns=["split", "gold", "predicted", "entities"],
        ),
    }


def drawn(types: list[str], folder: Path, drawings: dict[str, Drawing] = FIGURES) -> dict[str, bytes]:
    """The figures by name; whatever matplotlib warns of, a missing glyph or a layout that does not fit, is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        paths = write_figures(folder, metrics(types), tables(types), drawings)
    return {path.stem: path.read_bytes() for path in paths}


@pytest.mark.parametrize(
    "types",
    [["PER"], STRANGE + [f"TYPE-{index}" for index in range(300)], []],
    ids=["one type", "hundreds of strange types", "no entities"],
)
def test_every_figure_is_drawn_and_fits(types, tmp_path):
    figures = drawn(types, tmp_path / "figures")
    assert list(figures) == list(FIGURES)
    for content in figures.values():
        height, width = imread(io.BytesIO(content)).shape[:2]
        assert width == 1440 and 300 < height < 2600


def test_the_same_tables_make_the_same_bytes_without_a_version_in_them(tmp_path):
    drawings = {name: FIGURES[name] for name in ("confusion", "slices")}
    one, two = (drawn(["LOC", "PER"], tmp_path / name, drawings) for name in ("one", "two"))
    assert one == two
    assert not any(b"Software" in content or b"atplotlib" in content for content in one.values())


def test_a_figure_that_leaves_types_out_says_so():
    types = [f"T{index}" for index in range(40)]
    figure = draw_types(metrics(types), tables(types))
    assert figure.get_suptitle() == f"F1 by entity type (the {MAX_TYPES} most frequent of 40)"
    names = {label.get_text().partition(" ")[0] for label in figure.axes[0].get_yticklabels()}
    assert "T39" in names and "T0" not in names  # by annotated entities


def test_the_matrix_counts_every_entity_though_it_does_not_name_every_type():
    types = [f"T{index}" for index in range(40)]
    figure = draw_confusion(metrics(types), tables(types))
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()][-2:] == ["other types", NONE]
    cells = {tuple(map(int, text.get_position())): text.get_text() for text in axes.texts}
    assert cells[0, 0] == "5"
    assert cells[len(axes.get_yticklabels()) - 2, 0] == "5"  # T0, not named, in the column of the other types
    assert cells[len(axes.get_yticklabels()) - 1, 0] == "5"  # and what was missed


@pytest.mark.parametrize("name", STRANGE)
def test_a_type_is_shown_short_and_without_what_cannot_be_printed(name):
    assert shown(name).isprintable()
    assert len(shown(name)) <= max(MAX_NAME, len(name.encode("unicode_escape")))
    assert len(shown("x" * 300)) == MAX_NAME
