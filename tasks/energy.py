"""What a stretch of work takes: processor time, memory, and energy where the machine counts it. Nothing here raises.

meter = Meter()
meter.watch_gpus()        # where the work runs on NVIDIA cards
meter.sample()            # now and then: counters wrap around, some within half an hour
meter.facts()             # {"cpu_seconds": 4051.2, "peak_memory_mb": 3921, "energy_kwh": 0.0412, "energy_of": "..."}

Energy is that of whole packages and cards as their own counters give it, with all that runs on them. Sources: Linux
`Documentation/power/powercap` (energy_uj, max_energy_range_uj); NVIDIA NVML, nvmlDeviceGetTotalEnergyConsumption.
"""

import ctypes
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

POWERCAP = Path("/sys/class/powercap")
PACKAGES = re.compile(r"intel-rapl:\d+")  # AMD's processors have the same names
MEMORY = re.compile(r"intel-rapl:\d+:\d+")
UJ_A_KWH, MJ_A_KWH = 3.6e12, 3.6e9  # microjoules, millijoules
OF_PROCESSOR, OF_GPU = "processor packages and memory (powercap)", "GPUs (NVML)"


class Meter:
    """Counts from where it is made."""

    def __init__(self, powercap: Path = POWERCAP) -> None:
        self._cpu = cpu_seconds()
        self._energy: dict[str, float] = {}  # kWh by kind
        self._last: dict[str, float] = {}
        self._powercap = powercap
        self._nvml: Any = None
        self.sample()

    def watch_gpus(self, nvml: Any = None) -> None:
        """Count the energy of the visible NVIDIA cards too, from now on. nvml: the library; None: the driver's."""
        self._nvml = nvml or load_nvml()
        self.sample()

    def sample(self) -> None:
        """Add what the counters have moved by since the last time."""
        for name, domain in find_domains(self._powercap).items():
            span = _number(domain / "max_energy_range_uj")
            self._add(OF_PROCESSOR, name, _number(domain / "energy_uj"), UJ_A_KWH, span)
        for name, millijoules in gpu_counters(self._nvml).items():
            self._add(OF_GPU, name, millijoules, MJ_A_KWH, None)

    def facts(self) -> dict[str, Any]:
        """cpu_seconds, peak_memory_mb, energy_kwh and energy_of (whose energy it is), as far as they are known."""
        self.sample()
        facts: dict[str, Any] = {"cpu_seconds": round(cpu_seconds() - self._cpu, 1)}
        if (memory := peak_memory_mb()) is not None:
            facts["peak_memory_mb"] = memory
        counted = {kind: kwh for kind, kwh in self._energy.items() if kwh > 0}  # one that stands still counts nothing
        if counted:
            facts["energy_kwh"] = round(sum(counted.values()), 6)
            facts["energy_of"] = " and ".join(counted)
        return facts

    def _add(self, kind: str, name: str, now: float | None, unit: float, span: float | None) -> None:
        before = self._last.get(name)
        if now is None:
            return
        self._last[name] = now
        moved = 0.0 if before is None else now - before
        if moved < 0:  # wrapped around, or (without a known span) set back
            moved += span or -moved
        self._energy[kind] = self._energy.get(kind, 0.0) + max(0.0, moved) / unit


def find_domains(powercap: Path = POWERCAP) -> dict[str, Path]:
    """Folders of the counters that may be read and do not overlap: processor packages, and memory beside them."""
    try:
        folders = sorted(powercap.iterdir())
    except OSError:
        return {}
    wanted = {}
    for folder in folders:
        kind = _text(folder / "name") or ""
        is_package = PACKAGES.fullmatch(folder.name) and kind.startswith("package")
        is_memory = MEMORY.fullmatch(folder.name) and kind == "dram"
        if (is_package or is_memory) and _number(folder / "energy_uj") is not None:
            wanted[folder.name] = folder
    return wanted


def load_nvml() -> Any:
    """NVML of the installed driver, started; None where there is none."""
    try:
        library = ctypes.CDLL("libnvidia-ml.so.1")
        return library if library.nvmlInit_v2() == 0 else None
    except (OSError, AttributeError):
        return None


def gpu_counters(nvml: Any, environment: Mapping[str, str] = os.environ) -> dict[str, float]:
    """Millijoules since the driver was loaded of each card that CUDA_VISIBLE_DEVICES leaves visible, by its index."""
    if nvml is None:
        return {}
    try:
        found = {str(index): _gpu_counter(nvml, index) for index in visible_gpus(_gpu_count(nvml), environment)}
    except (AttributeError, OSError, ctypes.ArgumentError):
        return {}
    return {name: value for name, value in found.items() if value is not None}


def visible_gpus(total: int, environment: Mapping[str, str] = os.environ) -> list[int]:
    """Indices of the cards that a program may use; all of them where CUDA_VISIBLE_DEVICES names none by its index."""
    parts = [part.strip() for part in environment.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    if not all(part.isdigit() for part in parts):
        return list(range(total))
    return [int(part) for part in parts if int(part) < total]


def cpu_seconds() -> float:
    """Processor time of this process and of its children that have ended, user and system."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def peak_memory_mb() -> int | None:
    """The most memory that this process has held since it began; None where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(most / (2**20 if os.uname().sysname == "Darwin" else 2**10))


def _gpu_count(nvml: Any) -> int:
    count = ctypes.c_uint()
    return count.value if nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)) == 0 else 0


def _gpu_counter(nvml: Any, index: int) -> float | None:
    handle, energy = ctypes.c_void_p(), ctypes.c_ulonglong()
    if nvml.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(index), ctypes.byref(handle)) != 0:
        return None
    return float(energy.value) if nvml.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(energy)) == 0 else None


def _number(path: Path) -> float | None:
    text = _text(path)
    return float(text) if text and text.isdigit() else None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
