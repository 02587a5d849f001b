"""What a stretch of work takes: processor time, memory, and energy where the machine counts it. Nothing here raises.

meter = Meter()
meter.watch_gpus()        # where the work runs on NVIDIA cards
meter.sample()            # now and then: counters wrap around, some within half an hour
meter.facts()             # {"cpu_seconds": 4051.2, "peak_memory_mb": 3921, "energy_kwh": 0.0412, "energy_of": "..."}

Energy is that of whole packages and cards as their own counters give it, with all that runs on them. MLflow's system
metrics have the power of cards, but no energy and nothing of processors. Sources: Linux
`Documentation/power/powercap` (energy_uj, max_energy_range_uj); NVIDIA NVML, nvmlDeviceGetTotalEnergyConsumption.
"""

import os
import resource
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

POWERCAP = Path("/sys/class/powercap")
UJ_A_KWH, MJ_A_KWH = 3.6e12, 3.6e9  # microjoules, millijoules
OF_PROCESSOR, OF_GPU = "processor packages and memory (powercap)", "GPUs (NVML)"


@dataclass
class Counter:
    """One counter of energy: whose it is, how it is read, how many units a kWh has, and after how many it wraps."""

    kind: str
    read: Callable[[], float | None]
    unit: float
    span: float = 0.0
    last: float | None = None
    kwh: float = 0.0

    def sample(self) -> None:
        """Add what the counter has moved by since the last time."""
        if (now := self.read()) is None:
            return
        moved = 0.0 if self.last is None else now - self.last
        if moved < 0:  # wrapped around, or (without a known span) set back
            moved = max(0.0, moved + self.span)
        self.last, self.kwh = now, self.kwh + moved / self.unit


class Meter:
    """Processor time, memory and energy since this meter was made."""

    def __init__(self, powercap: Path = POWERCAP) -> None:
        self._began = cpu_seconds()
        self.counters = list(processor_counters(powercap))
        self.sample()

    def watch_gpus(self) -> None:
        """Count the energy of the visible NVIDIA cards too, from now on."""
        self.counters += gpu_counters()
        self.sample()

    def sample(self) -> None:
        """Add what the counters have moved by since the last time."""
        for counter in self.counters:
            counter.sample()

    def facts(self) -> dict[str, Any]:
        """Return cpu_seconds, peak_memory_mb, energy_kwh and energy_of (whose energy it is), as far as known."""
        self.sample()
        facts = {"cpu_seconds": round(cpu_seconds() - self._began, 1), "peak_memory_mb": peak_memory_mb()}
        moved = [counter for counter in self.counters if counter.kwh > 0]  # one that stands still counts nothing
        if not moved:
            return facts
        kinds = dict.fromkeys(counter.kind for counter in moved)
        return facts | {"energy_kwh": round(sum(counter.kwh for counter in moved), 6), "energy_of": " and ".join(kinds)}


def processor_counters(powercap: Path = POWERCAP) -> Iterator[Counter]:
    """Yield the counters that do not overlap: processor packages, and memory beside them; AMD's have the same names."""
    for folder in sorted(powercap.glob("intel-rapl:*")):
        kind = _text(folder / "name") or ""
        if kind.startswith("package") or kind == "dram":
            read = partial(_number, folder / "energy_uj")
            yield Counter(OF_PROCESSOR, read, UJ_A_KWH, _number(folder / "max_energy_range_uj") or 0.0)


def gpu_counters() -> list[Counter]:
    """Return a counter for each card that torch sees; none without NVIDIA's driver."""
    import pynvml
    import torch

    try:
        pynvml.nvmlInit()
        ids = [torch.cuda.get_device_properties(index).uuid for index in range(torch.cuda.device_count())]
        cards = [pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}") for uuid in ids]
    except pynvml.NVMLError:
        return []
    return [Counter(OF_GPU, partial(_millijoules, card), MJ_A_KWH) for card in cards]


def cpu_seconds() -> float:
    """Return the processor time of this process and of its children that have ended, user and system."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def peak_memory_mb() -> int:
    """Return the most memory that this process has held since it began."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(most / (2**20 if sys.platform == "darwin" else 2**10))


def _millijoules(card: Any) -> float | None:
    import pynvml

    try:
        return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(card))
    except pynvml.NVMLError:  # cards before Volta do not count
        return None


def _number(path: Path) -> float | None:
    text = _text(path)
    return float(text) if text and text.isdigit() else None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
