"""What the benchmarks share: the machine they ran on, ratios over rounds, tables.

about = machine()
spread([2.0, 2.4], [1.0, 1.0])          # {"median": 2.2, "low": 2.0, "high": 2.4}
"""

import os
import platform
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from tasks.provenance import cpu_name, package_versions

REPORT = Path("reports/bench")
BUSY = 0.25  # of each core, before the run
LOOK_S = 3  # so long the machine is watched for it
PACKAGES = ("numpy", "onnxruntime", "tokenizers", "torch", "transformers")


def machine(packages: Sequence[str] = PACKAGES) -> dict[str, Any]:
    """What the numbers were measured on."""
    import torch

    gpu = {"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}
    return {
        "cpu": cpu_name(),
        **gpu,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "cores_busy_before": round(psutil.cpu_percent(LOOK_S) / 100 * (psutil.cpu_count() or 1), 2),
        "python": platform.python_version(),
        "packages": package_versions(packages),
    }


def machine_line(about: Mapping[str, Any]) -> str:
    """The machine in words, for the end of a report."""
    packages = ", ".join(f"{name} {version}" for name, version in about["packages"].items())
    gpu = f"{about['gpu']}, " if "gpu" in about else ""
    return (
        f"{gpu}{about['cpu']}, {about['cores']} cores, {about['threads']} threads, "
        f"{about['cores_busy_before']:g} cores busy before; Python {about['python']}, {packages}.\n"
    )


def busy(about: Mapping[str, Any], effect: str = "the numbers are off") -> str:
    """A warning where others used the machine, and what that does to the numbers."""
    if about["cores_busy_before"] < BUSY * about["cores"]:
        return ""
    return f"\n**Other programs ran meanwhile: {effect}. Run it again on an idle machine.**\n"


def spread(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """Median, lowest and highest of the ratios, a round each."""
    ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
    return {"median": statistics.median(ratios), "low": min(ratios), "high": max(ratios)}


def turns(names: Sequence[str], number: int) -> Iterator[str]:
    """The contenders in the order of round `number`: none is always the first."""
    first = number % len(names)
    yield from (*names[first:], *names[:first])


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in markdown."""
    head, *body = (f"| {' | '.join(cells)} |" for cells in (columns, *rows))
    return "\n".join([head, "|" + "---|" * len(columns), *body])


def ratio(value: Mapping[str, float] | None) -> str:
    return "–" if value is None else f"{value['median']:.2f} ({value['low']:.2f}–{value['high']:.2f})"


def percent(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{100 * value:.{digits}f} %"
