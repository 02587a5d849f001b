"""A run whose workers die again and again is not taken up for ever; one that died once is."""

import pytest
from prefect.server.events.schemas.automations import EventTrigger

from flows.runtime.crash_recovery import NAME, SILENT_S, automation, check_count
from ner.errors import NerError


def test_a_run_is_taken_up_so_often_and_no_more():
    check_count(1, taken_up=0)
    check_count(3, taken_up=2)
    with pytest.raises(NerError, match=r"its worker has died 3 times, and params\.yaml, limits\.taken_up, is 2"):
        check_count(4, taken_up=2)


def test_only_runs_of_our_deployments_wait_for_another_worker_and_only_after_three_heartbeats():
    made = automation()
    assert made.name == NAME and made.trigger.within.total_seconds() == SILENT_S
    assert made.trigger.match_related["prefect.resource.id"] == ["prefect.tag.ner"]
    assert made.actions[0].name == "AwaitingRetry"


@pytest.mark.parametrize("event", ["heartbeat", "Completed", "Failed", "Cancelling", "TimedOut"])
def test_a_heartbeat_and_any_end_are_signs_of_life(event):
    trigger = EventTrigger.model_validate(automation().trigger.model_dump())  # as the server reads it
    assert trigger.expects(f"prefect.flow-run.{event}") and not trigger.expects(f"prefect.task-run.{event}")
