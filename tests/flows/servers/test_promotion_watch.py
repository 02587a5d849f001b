import httpx
import pytest
from prefect.exceptions import ObjectNotFound

from flows.servers.promotion_watch import MISSES, START_AGAIN_AFTER_S, Seen, Watch, read_interval
from ner.errors import ParamsError
from ner.registry.promotion.rules import PROMOTION, Check, Entry, Ref


def entry(version: int, passed: bool = True) -> Entry:
    ref, checks = Ref(version, 1), () if passed else (Check("gate", False, "it never passed a gate"),)
    return Entry(
        "2026-01-02T03:04:05+00:00", PROMOTION, None, ref, ref, passed, checks, "", "x", "it stays champion", ""
    )


class World:
    """A registry and a Prefect whose answers the test sets."""

    def __init__(self) -> None:
        self.champion: int | None = None
        self.entries: list[Entry] = []
        self.runs: list[str] = []
        self.lines: list[str] = []
        self.look_error: Exception | None = None
        self.start_error: Exception | None = None
        self.watch = Watch(self.look, self.start, self.lines.append)

    def look(self) -> Seen:
        if self.look_error:
            raise self.look_error
        return Seen("ner", self.champion, list(self.entries))

    def start(self) -> str:
        if self.start_error:
            raise self.start_error
        self.runs.append(f"otter-{len(self.runs)}")
        return self.runs[-1]


def test_nothing_is_started_while_the_alias_is_where_the_history_says():
    world = World()
    world.watch.step(0)
    world.champion, world.entries = 1, [entry(1)]
    world.watch.step(15)
    assert world.runs == []


def test_a_pause_is_told_once_and_again_after_it_was_over():
    world = World()
    answers = iter(["the work pool ner is paused", "the work pool ner is paused", None, "the work pool ner is paused"])
    world.watch.paused = lambda: next(answers)
    for now in range(4):
        world.watch.step(now)
    assert world.lines == ["WARNING: the work pool ner is paused"] * 2


def test_a_moved_alias_starts_one_run_and_its_verdict_is_told():
    world = World()
    world.watch.step(0)
    world.champion = 2
    for now in (15, 30, 45):
        world.watch.step(now)
    assert world.runs == ["otter-0"] and "version 2, unknown to the history: flow run otter-0" in world.lines[0]
    world.entries = [entry(2, passed=False)]
    world.watch.step(60)
    assert world.runs == ["otter-0"]
    assert world.lines[1].startswith("WARNING: ner version 2 was made champion and failed its checks (gate: ")


def test_a_second_move_and_a_removal_start_another_run():
    world = World()
    world.champion, world.entries = 1, [entry(1)]
    for now, world.champion in ((0, 1), (15, 2), (30, 3), (45, None)):
        world.watch.step(now)
    assert len(world.runs) == 3


def test_a_new_watch_tells_nothing_old_and_asks_only_for_what_is_not_recorded():
    world = World()
    world.champion, world.entries = 1, [entry(1)]
    world.watch.step(0)
    assert (world.runs, world.lines) == ([], [])


def test_a_run_that_was_lost_is_started_again_after_a_while():
    world = World()
    world.champion = 1
    for now in (0, START_AGAIN_AFTER_S - 1, START_AGAIN_AFTER_S):
        world.watch.step(now)
    assert len(world.runs) == 2


def test_a_registry_that_is_down_is_told_once_and_its_return_once():
    world = World()
    world.look_error = httpx.ConnectError("refused")
    for now in range(5):
        world.watch.step(now)
    assert len(world.lines) == 1 and "does not answer (ConnectError)" in world.lines[0]
    world.look_error, world.champion = None, 1
    world.watch.step(6)
    assert len(world.runs) == 1 and world.lines[-1] == "both servers answer again"


def test_a_deployment_that_is_not_there_yet_is_tried_again_without_a_word():
    world = World()
    world.champion, world.start_error = 1, ObjectNotFound(http_exc=httpx.HTTPError("404"))
    for now in range(MISSES - 1):
        world.watch.step(now)
    world.start_error = None
    world.watch.step(9)
    assert len(world.runs) == 1 and len(world.lines) == 1


def test_how_often_it_looks_is_a_setting():
    assert (read_interval({}), read_interval({"NER_WATCH_EVERY_S": "5"})) == (15, 5)
    for wrong in ("0", "0.5", "often", "3601"):
        with pytest.raises(ParamsError, match=f"NER_WATCH_EVERY_S is '{wrong}', need whole seconds from 1 to 3600"):
            read_interval({"NER_WATCH_EVERY_S": wrong})
