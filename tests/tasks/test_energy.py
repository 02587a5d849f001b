"""Counters in a folder like /sys/class/powercap, and an NVML of two cards."""

import ctypes
import json
import time

import pytest

from tasks import energy
from tasks.energy import Meter, find_domains, gpu_counters, visible_gpus


def domain(powercap, name: str, kind: str, microjoules: int, span: int = 10**12) -> None:
    folder = powercap / name
    folder.mkdir(parents=True, exist_ok=True)
    for file, value in (("name", kind), ("energy_uj", microjoules), ("max_energy_range_uj", span)):
        (folder / file).write_text(f"{value}\n")


class Nvml:
    """The two calls that are made, for cards whose counters stand at so many millijoules."""

    def __init__(self, millijoules: list[int], fails: bool = False) -> None:
        self.millijoules, self.fails = millijoules, fails

    def nvmlDeviceGetCount_v2(self, count):
        count._obj.value = len(self.millijoules)
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index, handle):
        handle._obj.value = index.value + 1
        return 0

    def nvmlDeviceGetTotalEnergyConsumption(self, handle, value):
        value._obj.value = self.millijoules[handle.value - 1]
        return 3 if self.fails else 0


def test_packages_and_memory_count_and_what_they_contain_does_not(tmp_path):
    for name, kind in (
        ("intel-rapl:0", "package-0"),
        ("intel-rapl:0:0", "core"),
        ("intel-rapl:0:1", "dram"),
        ("intel-rapl:1", "psys"),
        ("intel-rapl-mmio:0", "package-0"),
    ):
        domain(tmp_path, name, kind, 5)
    (tmp_path / "intel-rapl").mkdir()
    assert list(find_domains(tmp_path)) == ["intel-rapl:0", "intel-rapl:0:1"]


def test_energy_is_what_the_counters_move_by_also_when_they_wrap_around(tmp_path):
    domain(tmp_path, "intel-rapl:0", "package-0", 900_000, span=1_000_000)
    meter = Meter(tmp_path)
    for microjoules in (999_000, 200_000, 500_000):  # over the end once: 99,000 + 201,000 + 300,000
        domain(tmp_path, "intel-rapl:0", "package-0", microjoules, span=1_000_000)
        meter.sample()
    assert meter._energy[energy.OF_PROCESSOR] * energy.UJ_A_KWH == pytest.approx(600_000)


def test_a_kilowatt_hour_is_one(tmp_path):
    domain(tmp_path, "intel-rapl:0", "package-0", 0, span=10**13)
    meter = Meter(tmp_path)
    meter.watch_gpus(cards := Nvml([7, 0]))
    domain(tmp_path, "intel-rapl:0", "package-0", int(3.6e12), span=10**13)
    cards.millijoules = [int(3.6e9) + 7, 0]
    facts = meter.facts()
    assert facts["energy_kwh"] == 2.0
    assert facts["energy_of"] == f"{energy.OF_PROCESSOR} and {energy.OF_GPU}"
    json.dumps(facts)


@pytest.mark.parametrize("broken", ["missing", "unreadable", "empty", "not a number", "standing still"])
def test_without_a_counter_there_is_no_energy_and_no_error(tmp_path, broken):
    if broken != "missing":
        domain(tmp_path, "intel-rapl:0", "package-0", 5)
    file = tmp_path / "intel-rapl:0" / "energy_uj"
    if broken == "unreadable":
        file.unlink()
        file.mkdir()
    if broken in ("empty", "not a number"):
        file.write_bytes(b"" if broken == "empty" else b"\xff\xfe")
    facts = Meter(tmp_path / "nowhere" if broken == "missing" else tmp_path).facts()
    assert set(facts) == {"cpu_seconds", "peak_memory_mb"}


def test_a_counter_that_comes_and_goes_counts_while_it_is_there(tmp_path):
    domain(tmp_path, "intel-rapl:0", "package-0", 100)
    meter = Meter(tmp_path)
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("")
    meter.sample()
    domain(tmp_path, "intel-rapl:0", "package-0", int(3.6e9) + 100)
    assert meter.facts()["energy_kwh"] == 0.001


def test_processor_time_and_memory_are_those_of_this_process(tmp_path):
    meter = Meter(tmp_path)
    end = time.process_time() + 0.2
    while time.process_time() < end:
        pass
    facts = meter.facts()
    assert 0.1 <= facts["cpu_seconds"] < 60
    assert 10 < facts["peak_memory_mb"] < 10**6


@pytest.mark.parametrize("nvml", [None, object(), Nvml([1, 2], fails=True)])
def test_a_driver_that_cannot_say_it_counts_nothing(nvml):
    assert gpu_counters(nvml, {}) == {}


def test_each_visible_card_is_read():
    assert gpu_counters(Nvml([10, 20]), {}) == {"0": 10.0, "1": 20.0}
    assert gpu_counters(Nvml([10, 20]), {"CUDA_VISIBLE_DEVICES": "1"}) == {"1": 20.0}


@pytest.mark.parametrize(
    ("named", "indices"),
    [("0, 2", [0, 2]), ("", [0, 1, 2]), ("GPU-1a2b", [0, 1, 2]), ("7", []), ("0,GPU-x", [0, 1, 2])],
)
def test_cards_are_those_that_cuda_may_use(named, indices):
    assert visible_gpus(3, {"CUDA_VISIBLE_DEVICES": named}) == indices


def test_a_machine_without_the_driver_has_no_library(monkeypatch):
    def missing(name):
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert energy.load_nvml() is None


def test_a_training_writes_what_it_used_and_several_processes_only_the_machines_energy(tmp_path, monkeypatch):
    from tasks.training_log import TrainingLog

    domain(tmp_path / "powercap", "intel-rapl:0", "package-0", 0)
    log = TrainingLog(tmp_path / "reports", live=False)
    log.meter = Meter(tmp_path / "powercap")
    domain(tmp_path / "powercap", "intel-rapl:0", "package-0", int(3.6e11))
    log.write([])
    written = json.loads((tmp_path / "reports" / "training.json").read_text())
    assert written["energy_kwh"] == 0.1 and {"cpu_seconds", "peak_memory_mb", "seconds"} <= set(written)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert set(log.used()) == {"energy_kwh", "energy_of"}
