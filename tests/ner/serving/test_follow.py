"""Where the process that asks the registry ends, it is started again, be it before its first word."""

import asyncio
import sys

import pytest

from ner.errors import RegistryError
from ner.serving import follow
from ner.serving.follow import Follower

LINE = '{"version": {"model": "ner", "number": 2}, "problem": null}'


def test_a_process_that_ends_before_its_first_word_is_started_again(tmp_path, monkeypatch):
    monkeypatch.setattr(follow, "ASK_AGAIN_AFTER_S", 0.1)
    mark, told = tmp_path / "mark", []
    script = f"import pathlib, time; p = pathlib.Path({str(mark)!r}); p.exists() or (p.touch(), exit(1)); "
    command = [sys.executable, "-c", script + f"print({LINE!r}, flush=True); time.sleep(60)"]

    async def followed() -> None:
        follower = Follower(command, {}, lambda version, problem: told.append(version))
        with pytest.raises(RegistryError, match="ended with status 1"):
            await follower.first()
        async with asyncio.timeout(60):
            while not told:
                await asyncio.sleep(0.05)
        await follower.stop()

    asyncio.run(followed())
    assert told[0].name == "ner/2"
