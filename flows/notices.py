"""Notices of a failed gate, a failed run and a new champion, by automations of the Prefect server, each event once.

    NER_NOTIFY_BLOCK=slack-webhook/team make up     # any notification block of the Prefect server, by type and name
    NER_NOTIFY_URL=https://… make up                # a webhook: one POST of JSON, with title and text
Run     python -m flows.notices                     (the same against a server that runs elsewhere)

The server sends them: for a run whose worker died, too. Installing them again changes nothing. The address of the
webhook is kept as a secret of a Prefect block, and no other process sees it.
"""

import os
from collections.abc import MutableMapping
from datetime import timedelta
from typing import Any

from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.events.actions import SendNotification
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.exceptions import ObjectNotFound

from ner.errors import GateFailed, ParamsError
from tasks.cli import run_stage

BLOCK, URL = "NER_NOTIFY_BLOCK", "NER_NOTIFY_URL"
OWN_BLOCK = ("custom-webhook", "ner-notices")
TAG = "ner"  # every deployment of ours has it; the server may be shared
GATE_FAILED, NEW_CHAMPION = "GateFailed", "NewChampion"  # names of states, after which Prefect names its events
NOTICES = {
    "ner: gate failed": {GATE_FAILED},
    "ner: run failed": {"Failed", "Crashed", "TimedOut"},
    "ner: new champion": {NEW_CHAMPION},
}
ONCE_IN = timedelta(minutes=10)  # a state that a run is told to enter again so soon is the same event
BODY = "{{ flow.name }}, flow run {{ flow_run.name }}: {{ flow_run.state.message }}\n{{ (flow_run|ui_url) or '' }}"


def failed_name(exit_status: int) -> str | None:
    """The name of the state of a run that failed: that of the gate has its own."""
    return GATE_FAILED if exit_status == GateFailed.exit_status else None


def install_named(environment: MutableMapping[str, str]) -> list[str]:
    """Install what the environment asks for, and take the secret out of it. Returns the names; none without a wish.

    Raises ParamsError.
    """
    url, block = environment.pop(URL, ""), environment.get(BLOCK, "")
    if not (url or block):
        return []
    if url and block:
        raise ParamsError(f"{URL} and {BLOCK} are both set: the notices go to one of them.")
    with get_client(sync_client=True) as client:
        install(client, block_id(client, *(save_webhook(url) if url else parse_block(block))))
    return list(NOTICES)


def save_webhook(url: str) -> tuple[str, str]:
    """Keep the address in a block of our own; returns its type and name. Raises ParamsError."""
    if not url.startswith(("https://", "http://")):
        raise ParamsError(f"{URL} needs an address that begins with https://.")
    CustomWebhookNotificationBlock(
        name="ner", url="{{url}}", secrets={"url": url}, json_data={"title": "{{subject}}", "text": "{{body}}"}
    ).save(OWN_BLOCK[1], overwrite=True)
    return OWN_BLOCK


def parse_block(block: str) -> tuple[str, str]:
    """Type and name of `slack-webhook/team`. Raises ParamsError."""
    kind, slash, name = block.partition("/")
    if not (kind and slash and name):
        raise ParamsError(f"{BLOCK} is {block!r}, need the type and the name of a block, such as slack-webhook/team.")
    return kind, name


def block_id(client: SyncPrefectClient, kind: str, name: str) -> Any:
    """Raises ParamsError where the server has no such block."""
    try:
        return client.read_block_document_by_name(name, kind).id
    except ObjectNotFound:
        raise ParamsError(
            f"{BLOCK}: the Prefect server has no block {kind}/{name}: make it in the UI, Blocks."
        ) from None


def install(client: SyncPrefectClient, block: Any) -> None:
    """Make each automation of NOTICES, or bring the one of that name up to date."""
    for name, states in NOTICES.items():
        wanted = automation(name, states, block)
        there = client.read_automations_by_name(name)
        if there:
            client.update_automation(there[0].id, wanted)
        else:
            client.create_automation(wanted)
        for more in there[1:]:  # two installed at once
            client.delete_automation(more.id)


def automation(name: str, states: set[str], block: Any) -> AutomationCore:
    """One notice for each flow run of ours that enters one of the states."""
    return AutomationCore(
        name=name,
        trigger=EventTrigger(
            expect={f"prefect.flow-run.{state}" for state in states},
            match_related={"prefect.resource.id": f"prefect.tag.{TAG}", "prefect.resource.role": "tag"},
            for_each={"prefect.resource.id"},
            posture=Posture.Reactive,
            threshold=1,
            within=ONCE_IN,
        ),
        actions=[SendNotification(block_document_id=block, subject=name, body=BODY)],
    )


def main() -> None:
    names = install_named(os.environ)
    if not names:
        raise ParamsError(f"set {BLOCK} or {URL}: neither says where notices go to.")
    print("notices: " + ", ".join(names))


if __name__ == "__main__":
    run_stage("notices", main)
