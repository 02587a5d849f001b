"""A worker that dies is noticed by its run's missing heartbeats, and another one takes the run up, by Prefect's means.

take_up_lost_runs()      # once a server; doing it again changes nothing

A flow run says every half minute that it is alive (prefect.toml, [flows] heartbeat_frequency). Where that stops without
an end, the server sets the run back to AwaitingRetry, and the next free worker of its pool runs it: DVC has the stages
that were done, and a training goes on from its checkpoint. params.yaml, limits.taken_up, says how often.
"""

from datetime import timedelta

from prefect.automations import Automation
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import EventTrigger, Posture

from ner.errors import NerError

NAME = "ner: take up the run of a worker that died"
TAG = "ner"  # of the deployments in prefect.yaml; a run of `make train` has none, and no worker could run it
SILENT_S = 90  # three heartbeats
MESSAGE = f"Its worker died (no sign of life for {SILENT_S} s): waiting for another one."
SIGN_OF_LIFE = "prefect.flow-run.*"  # a heartbeat, or any state


def automation(silent_s: float = SILENT_S) -> Automation:
    """Return the automation that reschedules a run whose heartbeats have stopped for `silent_s` seconds."""
    return Automation(
        name=NAME,
        description="Made by the worker (flows/runtime/crash_recovery.py); switch it off here to stop it.",
        trigger=EventTrigger(
            match={"prefect.resource.id": "prefect.flow-run.*"},
            match_related={"prefect.resource.role": "tag", "prefect.resource.id": f"prefect.tag.{TAG}"},
            after={"prefect.flow-run.heartbeat"},
            expect={SIGN_OF_LIFE},
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=silent_s),
        ),
        actions=[ChangeFlowRunState(state=StateType.SCHEDULED, name="AwaitingRetry", message=MESSAGE)],
    )


def take_up_lost_runs() -> None:
    """Make the automation where the server has none of that name; one that somebody changed stays as it is."""
    with get_client(sync_client=True) as client:
        if not client.read_automations_by_name(NAME):
            automation().create()


def check_count(run_count: int, taken_up: int) -> None:
    """Raise NerError for a run whose workers died too often: what it does may be what kills them."""
    if run_count > 1 + taken_up:
        raise NerError(
            f"its worker has died {run_count - 1} times, and params.yaml, limits.taken_up, is {taken_up}: look for the "
            "cause (memory, disk) in the worker's log, then start a new run, which goes on where this one was."
        )
