"""Prefect flow runs that have ended, listed and removed; a server removes their logs with them.

A registered version names its flow run, which Prefect's own clean-up by age (server.services.db_vacuum) cannot know.
"""

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound
from prefect.states import StateType

from flows.command import reachable_server
from ner.retention import Thing

KIND = "Prefect flow run"
ENDED = [StateType.COMPLETED, StateType.FAILED, StateType.CANCELLED, StateType.CRASHED]
PAGE = 200  # what the server gives at once


def flow_runs() -> list[Thing]:
    """Every flow run that has ended and is no part of another."""
    ended = FlowRunFilter(
        state={"type": {"any_": ENDED}},
        parent_task_run_id={"is_null_": True},  # as Prefect's own clean-up
    )
    found: list[Thing] = []
    with reachable_server(), get_client(sync_client=True) as client:
        while True:
            page = client.read_flow_runs(
                flow_run_filter=ended, limit=PAGE, offset=len(found), sort=FlowRunSort.START_TIME_ASC
            )
            found += [_thing(run) for run in page]
            if len(page) < PAGE:
                return found


def remove(names: Iterable[str]) -> None:
    """Remove flow runs by id; one that is gone already is no error."""
    with reachable_server(), get_client(sync_client=True) as client:
        for name in names:
            try:
                client.delete_flow_run(UUID(name))
            except ObjectNotFound:
                continue


def _thing(run: Any) -> Thing:
    ended: datetime | None = run.end_time
    age = None if ended is None else time.time() - ended.astimezone(UTC).timestamp()
    return Thing(KIND, str(run.id), None, age, run.name)
