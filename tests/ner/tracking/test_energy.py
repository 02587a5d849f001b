"""Counters in a folder like /sys/class/powercap, and two of cards."""

import json
import time

import pytest
import torch

from ner.tracking import energy
from ner.tracking.energy import Counter, Meter, gpu_counters, processor_counters


def domain(powercap, name: str, kind: str, microjoules: int, span: int = 10**12) -> None:
    folder = powercap / name
    folder.mkdir(parents=True, exist_ok=True)
    for file, value in (("name", kind), ("energy_uj", microjoules), ("max_energy_range_uj", span)):
        (folder / file).write_text(f"{value}\n")


def test_packages_and_memory_count_and_what_they_contain_does_not(tmp_path):
    kinds = {
        "intel-rapl:0": "package-0",
        "intel-rapl:0:0": "core",
        "intel-rapl:0:1": "dram",
        "intel-rapl:1": "psys",
        "intel-rapl-mmio:0": "package-0",
    }
    for number, (name, kind) in enumerate(kinds.items()):
        domain(tmp_path, name, kind, number)
    (tmp_path / "intel-rapl").mkdir()
    assert [counter.read() for counter in processor_counters(tmp_path)] == [0, 2]


def test_energy_is_what_the_counters_move_by_also_when_they_wrap_around(tmp_path):
    domain(tmp_path, "intel-rapl:0", "package-0", 900_000, span=1_000_000)
    meter = Meter(tmp_path)
    for microjoules in (999_000, 200_000, 500_000):  # over the end once: 99,000 + 201,000 + 300,000
        domain(tmp_path, "intel-rapl:0", "package-0", microjoules, span=1_000_000)
        meter.sample()
    assert meter.counters[0].kwh * energy.UJ_A_KWH == pytest.approx(600_000)


def test_a_kilowatt_hour_is_one(tmp_path):
    domain(tmp_path, "intel-rapl:0", "package-0", 0, span=10**13)
    meter = Meter(tmp_path)
    cards = [7, 0]
    meter.counters += [Counter(energy.OF_GPU, lambda card=card: cards[card], energy.MJ_A_KWH) for card in (0, 1)]
    meter.sample()
    domain(tmp_path, "intel-rapl:0", "package-0", int(3.6e12), span=10**13)
    cards[0] += int(3.6e9)
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


def test_a_card_that_cannot_say_it_counts_nothing_and_one_that_is_set_back_counts_on():
    silent, reset = Counter("x", lambda: None, 1.0), Counter("x", iter([5.0, 9.0, 1.0, 3.0]).__next__, 1.0)
    for _ in range(4):
        silent.sample(), reset.sample()
    assert (silent.kwh, reset.kwh) == (0.0, 6.0)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a card is here")
def test_a_machine_without_the_driver_has_no_cards():
    assert gpu_counters() == []


def test_a_training_writes_what_it_used_and_several_processes_only_the_machines_energy(tmp_path, monkeypatch):
    from ner.tracking.determined import training_record
    from ner.tracking.training_log import TrainingLog

    monkeypatch.setenv("NER_HOME", str(tmp_path))

    domain(tmp_path / "powercap", "intel-rapl:0", "package-0", 0)
    log = TrainingLog(tmp_path / "reports", live=False)
    log.meter = Meter(tmp_path / "powercap")
    domain(tmp_path / "powercap", "intel-rapl:0", "package-0", int(3.6e11))
    log.write([])
    written = training_record(tmp_path / "reports" / "training.json")
    assert written["energy_kwh"] == 0.1 and {"cpu_seconds", "peak_memory_mb", "seconds"} <= set(written)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert set(log.used()) == {"energy_kwh", "energy_of"}
