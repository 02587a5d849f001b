"""Flows `ner-promoted` (checks the version that a person made champion) and `ner-rollback` (goes back to the last one).

Run     prefect deployment run ner-promoted/promoted       (flows/servers/promotion_watch.py does it when the alias has
        moved)
        prefect deployment run ner-rollback/rollback --param reason="worse on the live texts"
Reads   the MLflow registry, through `ner rollback` and `ner record-promotion`
Writes  the history in the registry; an artifact in Prefect
"""

from typing import Any, Literal

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.states import Completed, State

from flows.runtime.names import named
from flows.runtime.run_command import run_command
from ner.common.escaping import in_markdown

NEW_CHAMPION = "New champion: "  # what the message of a run begins with; automations.yaml looks for it
VERDICTS = {True: "passed", False: "**failed**", None: "not run"}


@flow(name="ner-promoted", flow_run_name=named("check of the champion"))
def ner_promoted(on_failure: Literal["warn", "restore"] = "warn", again: bool = False) -> State:
    """Check the champion where the history does not know it: its gate, its files, that it loads, what it predicts.

    Args:
        on_failure: warn leaves the alias where it is, restore puts it back on the last good version.
        again: Check a champion that the history knows.
    """
    return promotion("record-promotion", f"--on-failure={on_failure}", *(["--again"] if again else []))


@flow(name="ner-rollback", flow_run_name=named("back, since {reason}"))
def ner_rollback(reason: str) -> State:
    """Put the alias `champion` back on the last good version of the history.

    Args:
        reason: Why; it is written into the history.
    """
    return promotion("rollback", "--", reason)


def promotion(name: str, *arguments: str) -> State:
    """Run a command of ner/registry/promotion/run.py, its lines in the log, its entry an artifact, its sentence the
    state."""
    result = run_command(name, *arguments)
    if result.report.get("entry"):
        create_markdown_artifact(markdown(result.report), key="promotion", description=result.report["sentence"])
    state = result.state("The history already has where champion points: nothing to do.")
    is_new = state.is_completed() and is_new_champion(result.report.get("entry"))
    return Completed(message=f"{NEW_CHAMPION}{state.message}") if is_new else state


def is_new_champion(entry: dict[str, Any] | None) -> bool:
    """Return whether an entry of the history says that another version is champion than before."""
    return bool(entry and entry["champion"] and entry["champion"] != entry["before"])


def markdown(report: dict[str, Any]) -> str:
    """Return an entry of the history as a page: what happened, each check, and what was done."""
    entry = report["entry"]
    lines = [f"# {in_markdown(report['sentence'])}", ""]
    if entry["checks"]:
        lines += [f"- {c['name']}: {VERDICTS[c['passed']]}: {in_markdown(c['reason'])}" for c in entry["checks"]] + [""]
    for name in ("kind", "when", "who", "action", "gate", "reason"):
        if entry[name]:
            lines.append(f"- {name}: {in_markdown(entry[name])}")
    versions = {name: entry[name]["version"] if entry[name] else "none" for name in ("before", "after", "champion")}
    lines.append("- versions: from {before} to {after}; champion now: {champion}".format(**versions))
    return "\n".join(lines)
