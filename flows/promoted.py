"""Flows `ner-promoted` (checks the version that a person made champion) and `ner-rollback` (goes back to the last one).

Run     prefect deployment run ner-promoted/promoted       (flows/watch.py does it when the alias has moved)
        prefect deployment run ner-rollback/rollback --param reason="worse on the live texts"
Reads   the MLflow registry, through `python -m tasks.promotion`
Writes  the history in the registry; an artifact in Prefect
"""

from typing import Any, Literal

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.states import State

from flows.notices import NEW_CHAMPION
from flows.told import run_module
from tasks.plain_text import in_markdown

VERDICTS = {True: "passed", False: "**failed**", None: "not run"}


@flow(name="ner-promoted")
def ner_promoted(on_failure: Literal["warn", "restore"] = "warn", again: bool = False) -> State:
    """Check the champion where the history does not know it: its gate, its files, that it loads, what it predicts.

    on_failure: "warn" leaves the alias where it is, "restore" puts it back on the last good version. again: check a
    champion that the history knows.
    """
    return promotion("--record", "--on-failure", on_failure, *(["--again"] if again else []))


@flow(name="ner-rollback")
def ner_rollback(reason: str) -> State:
    """Put the alias `champion` back on the last good version of the history, and write the reason there."""
    return promotion(f"--rollback={reason}")


def promotion(*arguments: str) -> State:
    """Run `python -m tasks.promotion`, its lines in the log; its entry as an artifact, its sentence as the state."""
    told = run_module("promotion", *arguments)
    if told.report.get("entry"):
        create_markdown_artifact(markdown(told.report), key="promotion", description=told.report["sentence"])
    state = told.state("The history already has where champion points: nothing to do.")
    is_new = state.is_completed() and is_new_champion(told.report.get("entry"))
    return state.model_copy(update={"name": NEW_CHAMPION}) if is_new else state  # what Prefect names its event after


def is_new_champion(entry: dict[str, Any] | None) -> bool:
    """Whether an entry of the history says that another version is champion than before."""
    return bool(entry and entry["champion"] and entry["champion"] != entry["before"])


def markdown(told: dict[str, Any]) -> str:
    """An entry of the history as a page: what happened, each check, and what was done."""
    entry = told["entry"]
    lines = [f"# {in_markdown(told['sentence'])}", ""]
    if entry["checks"]:
        lines += ["| check | verdict | reason |", "|---|---|---|"]
        for check in entry["checks"]:
            lines.append(f"| {check['name']} | {VERDICTS[check['passed']]} | {in_markdown(check['reason'])} |")
        lines.append("")
    for name in ("kind", "when", "who", "action", "gate", "reason"):
        if entry[name]:
            lines.append(f"- {name}: {in_markdown(entry[name])}")
    versions = {name: entry[name]["version"] if entry[name] else "none" for name in ("before", "after", "champion")}
    lines.append("- versions: from {before} to {after}; champion now: {champion}".format(**versions))
    return "\n".join(lines)
