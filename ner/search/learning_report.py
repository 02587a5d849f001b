"""A learning curve in a sentence, as a table, and as a picture: reports/learning_curve.json and its folder.

report = learning_report(points, params.evaluation, "document", 80)
print(report["sentence"])
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ner.common.files import write_json, write_text
from ner.common.tables import to_csv
from ner.evaluation.bootstrap import difference, draws, f1, interval, resampled
from ner.params import EvaluationParams
from ner.search.learning_fit import FLAT, Curve, fit

COLUMNS = ("size", "entities", "epochs", "f1", "low", "high", "curve")


def is_flat(points: Sequence[dict[str, Any]], params: EvaluationParams) -> bool:
    """Return whether the last point learns, and has gained less than FLAT by the upper end of the gain's interval.

    One that is worse by FLAT or more is no sign of that, but of a training that went wrong.
    points: of each the `counts` on validation, [units, 3], in order of size.
    """
    gain = last_gain(points, params)
    return gain is not None and gain["f1"] > 0 and gain["difference"] > -FLAT and gain["interval"][1] < FLAT


def last_gain(points: Sequence[dict[str, Any]], params: EvaluationParams) -> dict[str, Any] | None:
    """Return the paired bootstrap of the last point minus the one before it; None for a single point."""
    if len(points) < 2:
        return None
    ours, theirs = (np.array(point["counts"]) for point in (points[-1], points[-2]))
    return difference(ours, theirs, draws(len(ours), params.resamples, params.seed), params.confidence)


def learning_report(
    points: Sequence[dict[str, Any]], params: EvaluationParams, unit: str, total: int
) -> dict[str, Any]:
    """Return what learning_curve.json says. total: the documents (or sentences: unit) that there are of training."""
    sizes, counts = np.array([point["size"] for point in points]), np.array([point["counts"] for point in points])
    curve = fit(sizes, counts, params) if sizes[-1] == total else None
    rows = []
    for point, own in zip(points, counts, strict=True):
        low, high = interval(f1(resampled(own, params.resamples, params.seed)), params.confidence)
        on_curve = None if curve is None else round(float(np.interp(point["size"], curve.size, curve.f1)), 6)
        score = {"f1": float(f1(own.sum(0))), "low": low, "high": high, "curve": on_curve}
        rows.append({name: value for name, value in point.items() if name != "counts"} | score)
    report = {
        "unit": unit,
        "total": total,
        "confidence": params.confidence,
        "points": rows,
        "last_gain": last_gain(points, params),
        "twice": None if curve is None else _twice(curve),
        "fitted": None
        if curve is None
        else {name: np.round(value, 6).tolist() for name, value in curve.drawn().items()},
    }
    return report | {"sentence": sentence(report)}


def _twice(curve: Curve) -> dict[str, Any]:
    ends = {"f1": float(curve.f1[-1]), "low": float(curve.low[-1]), "high": float(curve.high[-1])}
    return {"size": round(float(curve.size[-1])), **ends, "gain": curve.gain, "interval": curve.interval}


def sentence(report: dict[str, Any]) -> str:
    """Return what twice the documents would bring, or that the points do not tell."""
    points, twice, units = report["points"], report["twice"], report["unit"] + "s"
    last = points[-1]
    if last["size"] < report["total"]:
        gain, (low, high) = report["last_gain"]["difference"], report["last_gain"]["interval"]
        return (
            f"the curve is flat from {points[-2]['size']} {units} on ({last['size']} brought {gain:+.3f} F1, "
            f"{low:+.3f} to {high:+.3f}), so that larger parts were not trained: more {units} of this kind would bring "
            "next to nothing."
        )
    low, high = twice["interval"]
    what, ends = f"twice the {units} ({twice['size']:,}) would bring", f"({low:.3f} to {high:.3f})"
    if not last["f1"]:
        return f"the points do not tell what {what}: nothing is learnt yet, F1 is 0."
    if low > 0 or high < FLAT:
        return f"{'the curve is flat: ' * (high < FLAT)}{what} about {twice['gain']:+.3f} F1 {ends}."
    return f"the points do not tell what {what}: {low:+.3f} to {high:+.3f} F1."


def table_rows(report: dict[str, Any]) -> list[list[str]]:
    """Return a header, a row a training, and one of what is expected of twice the documents."""
    head = [report["unit"] + "s", "entities", "epochs", "validation F1", f"{100 * report['confidence']:g} % interval"]
    rows = [[f"{p['size']:,}", f"{p['entities']:,}", f"{p['epochs']:g}", *_scores(p)] for p in report["points"]]
    if twice := report["twice"]:
        rows.append([f"{twice['size']:,}", "", "expected", *_scores(twice)])
    return [head, *rows]


def _scores(row: dict[str, Any]) -> list[str]:
    return [f"{row['f1']:.4f}", f"{row['low']:.4f} to {row['high']:.4f}"]


def write(report: dict[str, Any], reports: Path) -> list[Path]:
    """Write learning_curve.json and the folder learning_curve, whose files `dvc plots show` shows; return all three."""
    from ner.report.drawing import write_figure

    files = [
        reports / "learning_curve.json",
        *(reports / "learning_curve" / name for name in ("points.csv", "curve.png")),
    ]
    write_json(files[0], report)
    write_text(files[1], to_csv(list(COLUMNS), [[point[name] for name in COLUMNS] for point in report["points"]]))
    write_figure(files[2], lambda: draw(report))
    return files


def draw(report: dict[str, Any]) -> Any:
    """Return the picture: points with their intervals, the curve with its own, what is expected of twice as much."""
    from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

    from ner.report.drawing import INK, SPLIT_COLOURS, legend, make_panels

    points, fitted, twice = report["points"], report["fitted"], report["twice"]
    figure, axes = make_panels("Learning curve", 7.5, 4.4)
    sizes, scores = [p["size"] for p in points], [p["f1"] for p in points]
    ends = np.clip([[p["f1"] - p["low"] for p in points], [p["high"] - p["f1"] for p in points]], 0, None)
    colour = SPLIT_COLOURS["validation"]
    axes.errorbar(sizes, scores, yerr=ends, fmt="o", color=colour, capsize=3, label="trained, with its interval")
    if fitted:
        axes.plot(fitted["size"], fitted["f1"], color=INK, label="fitted: error = a + b / size^c")
        axes.fill_between(fitted["size"], fitted["low"], fitted["high"], color=INK, alpha=0.1, linewidth=0)
        axes.plot(twice["size"], twice["f1"], "o", color=INK, fillstyle="none", label="expected of twice as much")
    axes.set(
        title=report["sentence"], xscale="log", xlabel=f"training {report['unit']}s", ylabel="validation F1 (0 to 1)"
    )
    axes.title.set(wrap=True, fontsize=9)
    axes.xaxis.set_major_locator(FixedLocator([*sizes, *([twice["size"]] if twice else [])]))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    legend(axes, loc="lower right")
    return figure
