"""What the benchmarks share: the machine they ran on, ratios over rounds, tables.

about = machine()
spread([2.0, 2.4], [1.0, 1.0])          # {"median": 2.2, "low": 2.0, "high": 2.4}
"""

import platform
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from ner.common.files import write_json, write_text
from ner.common.provenance import cpu_name, package_versions, usable_cores
from ner.errors import ParamsError

REPORT = Path("reports/bench")
BUSY = 0.25  # of each core, before the run
LOOK_S = 3  # so long the machine is watched for it
PACKAGES = ("numpy", "onnxruntime", "tokenizers", "torch", "transformers")


def machine(packages: Sequence[str] = PACKAGES) -> dict[str, Any]:
    """Return what the numbers were measured on."""
    import torch

    gpu = {"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}
    return {
        "cpu": cpu_name(),
        **gpu,
        "cores": usable_cores(),
        "threads": torch.get_num_threads(),
        "cores_busy_before": round(psutil.cpu_percent(LOOK_S) / 100 * (psutil.cpu_count() or 1), 2),
        "python": platform.python_version(),
        "packages": package_versions(packages),
    }


def machine_line(about: Mapping[str, Any]) -> str:
    """Return the machine in words, for the end of a report."""
    packages = ", ".join(f"{name} {version}" for name, version in about["packages"].items())
    gpu = f"{about['gpu']}, " if "gpu" in about else ""
    return (
        f"{gpu}{about['cpu']}, {about['cores']} cores, {about['threads']} threads, "
        f"{about['cores_busy_before']:g} cores busy before; Python {about['python']}, {packages}.\n"
    )


def busy(about: Mapping[str, Any], effect: str = "the numbers are off") -> str:
    """Return a warning where others used the machine, and what that does to the numbers."""
    if about["cores_busy_before"] < BUSY * about["cores"]:
        return ""
    return f"\n**Other programs ran meanwhile: {effect}. Run it again on an idle machine.**\n"


def publish(name: str, report: Mapping[str, Any], markdown: str) -> None:
    """Write the results and their table to reports/bench, and print the table."""
    write_json(REPORT / f"{name}.json", report)
    write_text(REPORT / f"{name}.md", markdown)
    print(f"\n{markdown}", flush=True)


def spread(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """Return median, lowest and highest of the ratios, a round each."""
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    return {"median": statistics.median(ratios), "low": min(ratios), "high": max(ratios)}


def turns(names: Sequence[str], number: int) -> Iterator[str]:
    """Yield the contenders in the order of round `number`: none is always the first."""
    first = number % len(names)
    yield from (*names[first:], *names[:first])


def ratio(value: Mapping[str, float] | None) -> str:
    return "–" if value is None else f"{value['median']:.2f} ({value['low']:.2f}–{value['high']:.2f})"


def percent(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def check_names(option: str, names: Sequence[str], known: Sequence[str]) -> None:
    """Raise ParamsError where one of `names`, given with --`option`, is not among `known`."""
    if unknown := [name for name in names if name not in known]:
        raise ParamsError(f"--{option} {unknown[0]}: need one of {', '.join(known)}.")
