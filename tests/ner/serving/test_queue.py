"""The queue before the model: what one request may not do to the others. A backend that answers without a model."""

import asyncio
import socket
import time
from collections.abc import Callable

import pytest

from ner.common.loopback import free_port
from ner.serving.backend import About, Backend, Version
from ner.serving.metrics import Metrics
from ner.serving.queue import AHEAD, Queue
from ner.serving.request import Asked, Refused
from ner.serving.settings import listen


class Model(Backend):
    """Answers each row with itself; `takes` waits, or raises, before it does."""

    def __init__(self, takes: Callable) -> None:
        super().__init__(Version("ner", 1), [], {}, print)
        self.about, self.takes, self.batches = About(lanes=2, budget=256), takes, []

    async def predict(self, rows, params, threads, within_s=None):
        self.batches.append(list(rows))
        await self.takes(rows)
        return [{"text": row, "entities": []} for row in rows]


class Live:
    def __init__(self, model):
        self.live = model

    def ready(self):
        return self.live


def queue(takes, timeout_s=600.0):
    model = Model(takes)
    return Queue(Live(model), 1 << 30, timeout_s, None, Metrics()), model


async def at_once(rows):
    await asyncio.sleep(0)


def ask(waiting, *rows):
    return waiting.ask(Asked(list(rows)), sum(map(len, rows)))


def test_the_answers_of_a_large_request_are_in_order_and_few_of_its_rows_wait_at_a_time():
    rows = [f"row {i}" for i in range(5 * AHEAD)]
    longest = 0

    async def takes(batch):
        nonlocal longest
        longest = max(longest, len(waiting._waiting))
        await asyncio.sleep(0)

    async def main():
        nonlocal waiting
        waiting, _ = queue(takes)
        answers, _ = await ask(waiting, *rows)
        assert [answer["text"] for answer in answers] == rows
        assert not waiting._waiting

    waiting = None
    asyncio.run(main())
    assert longest <= AHEAD


def test_a_request_of_very_many_rows_that_fails_does_not_stop_the_server():
    """Its rows are gone at once, where taking them out one by one took seconds."""

    async def main():
        def fails(rows):
            if model.batches[2:] and rows != ["short"]:
                raise Refused(503, "gone")
            return at_once(rows)

        waiting, model = queue(fails)
        began = time.process_time()
        with pytest.raises(Refused, match="gone"):
            await ask(waiting, *["abcdefg"] * 300_000)
        assert not waiting._waiting
        answers, _ = await ask(waiting, "short")
        assert answers[0]["text"] == "short"
        assert time.process_time() - began < 5

    asyncio.run(main())


def test_a_short_text_goes_before_any_number_of_long_ones():
    async def main():
        async def takes(rows):
            await asyncio.sleep(0.05 if len(rows[0]) > 1024 else 0)

        waiting, model = queue(takes)
        long = [asyncio.create_task(ask(waiting, "y" * 1200)) for _ in range(400)]
        await asyncio.sleep(0.1)
        await ask(waiting, "hi")
        assert sum(len(rows[0]) > 1024 for rows in model.batches) < 100
        for task in long:
            task.cancel()
        await asyncio.gather(*long, return_exceptions=True)
        assert not waiting._waiting

    asyncio.run(main())


def test_who_gives_up_leaves_the_lanes_to_others():
    async def main():
        waiting, _ = queue(lambda rows: asyncio.sleep(0.2 if rows[0].startswith("slow") else 0), timeout_s=0.1)
        with pytest.raises(Refused, match="took too long"):
            await ask(waiting, "slow", *["slow too"] * 1000)
        await asyncio.sleep(0.5)
        answers, _ = await ask(waiting, "quick")
        assert answers[0]["text"] == "quick"

    asyncio.run(main())


def test_a_process_that_hangs_is_ended():
    async def main():
        said = []
        backend = Backend(Version("ner", 1), [], {}, said.append)

        class Writer:
            def write(self, line): ...
            def close(self): ...

        backend._writer = Writer()
        with pytest.raises(Refused) as refused:
            await backend.predict(["text"], {}, 1, within_s=0.05)
        assert refused.value.status == 503 and backend.ended.is_set()
        assert "did not answer a batch" in said[0]

    asyncio.run(main())


def test_an_answer_on_a_kept_connection_does_not_wait_for_an_acknowledgement():
    """Where Nagle's algorithm is on, each takes 40 ms more."""

    async def main():
        accepted = asyncio.get_running_loop().create_future()
        with listen(free_port()) as door:
            server = await asyncio.start_server(lambda _, writer: accepted.set_result(writer), sock=door)
            _, writer = await asyncio.open_connection(*door.getsockname())
            own = (await accepted).get_extra_info("socket")
            assert own.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            writer.close()
            server.close()

    asyncio.run(main())
