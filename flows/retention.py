"""What takes room and is needed by nothing: shown, and with --apply removed, by the days in params.yaml, retention.

Run     python -m flows.retention [--apply] [--json]      (make collect, make collect APPLY=1)
Reads   params.yaml, the registry, MLflow's runs, dvc.lock of all branches and tags, Prefect's flow runs
Writes  without --apply nothing

A registered version needs the outputs by the md5s of its tags, its MLflow run with the runs around it, and its flow
run: none of them goes. What cannot be found out (a server is down, a branch cannot be read) keeps what depends on it.
"""

import argparse
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from flows import cache_objects
from flows.lock import STATE, hold
from ner.errors import NerError
from ner.params import RetentionParams
from ner.retention import Thing, Verdict, judge
from tasks import old_runs
from tasks.cli import run_stage
from tasks.io import read_params
from tasks.leftovers import find_leftovers
from tasks.registered import Needs, read_needs

LEFTOVER = "left by a killed run"
SHOWN = 10  # of each kind, the largest first; --json has all


@dataclass(frozen=True)
class Part:
    """What was found of one kind or two, and what removes those that go."""

    verdicts: list[Verdict]
    remove: Callable[[list[str]], None]

    @property
    def going(self) -> list[Thing]:
        return [verdict.thing for verdict in self.verdicts if verdict.goes]


def examine(root: Path, days: RetentionParams, stack: ExitStack) -> Iterator[Part]:
    """Each part, judged; the caller's `stack` keeps DVC's lock until it has ended."""
    try:
        needs, unknown = read_needs(), ""
    except NerError as error:
        needs, unknown = None, str(error)
    yield leftovers(root, days)
    yield cache(root, days, needs, unknown, stack)
    yield from mlflow_runs(root, days, needs, unknown)
    yield prefect_runs(root, days, needs, unknown)


def leftovers(root: Path, days: RetentionParams) -> Part:
    """What killed runs have left; no version needs any of it."""
    things = [Thing(LEFTOVER, str(one.path), one.size, one.age_s, one.why) for one in find_leftovers(root)]
    return Part(judge(things, {}, days.leftovers_days), lambda names: remove_paths(root, names))


def cache(root: Path, days: RetentionParams, needs: Needs | None, unknown: str, stack: ExitStack) -> Part:
    """The files of DVC's cache."""
    repo = stack.enter_context(cache_objects.locked(root))
    kept = None
    if needs is not None and days.cache_days is not None:
        try:
            kept = cache_objects.needed(repo, needs.outputs)
        except cache_objects.UnknownError as error:
            unknown = str(error)
    verdicts = judge(cache_objects.objects(repo), kept, days.cache_days, unknown)
    return Part(verdicts, lambda names: cache_objects.remove(repo, names))


def mlflow_runs(root: Path, days: RetentionParams, needs: Needs | None, unknown: str) -> Iterator[Part]:
    """Runs that go into the trash, and those that leave it. Nothing is listed where MLflow cannot be asked."""
    try:
        runs = old_runs.read_runs(needs or Needs(), root)
    except NerError as error:
        print(f"MLflow's runs stay: {error}", flush=True)
        return
    kept = None if needs is None else runs.kept
    in_use = judge(runs.things, kept, days.mlflow_runs_days, unknown)
    trash = judge(runs.trash, kept, days.mlflow_trash_days, unknown)
    yield Part(in_use, put_in_trash)
    yield Part(trash, lambda names: old_runs.empty_trash(names, days.mlflow_trash_days, needs))


def put_in_trash(names: list[str]) -> None:
    """Raises RegistryError; what is in the trash by then stays there."""
    for name in names:
        old_runs.put_in_trash(name)


def prefect_runs(root: Path, days: RetentionParams, needs: Needs | None, unknown: str) -> Part:
    """Flow runs that have ended; none where there is neither a server nor a database yet."""
    import httpx
    from prefect.exceptions import PrefectException

    from flows import old_flow_runs

    if not (os.environ.get("PREFECT_API_URL") or (root / STATE / "prefect.db").exists()):
        return Part([], lambda names: None)
    kept = None if needs is None else {run: f"{version} needs it" for run, version in needs.flow_runs.items()}
    try:
        things = old_flow_runs.flow_runs()
    except (httpx.HTTPError, PrefectException, RuntimeError) as error:
        print(f"Prefect's flow runs stay: {' '.join(str(error).split())[:200]}", flush=True)
        return Part([], lambda names: None)
    return Part(judge(things, kept, days.flow_runs_days, unknown), old_flow_runs.remove)


def remove(parts: list[Part]) -> list[str]:
    """Remove what goes, part by part; a part that cannot be removed keeps no other. Returns what went wrong."""
    failed = []
    for part in parts:
        try:
            if part.going:
                part.remove([thing.name for thing in part.going])
        except (NerError, OSError) as error:
            failed.append(str(error))
    return failed


def remove_paths(root: Path, names: list[str]) -> None:
    """Remove files and folders of the checkout."""
    for name in names:
        path = root / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def told(parts: list[Part], apply: bool) -> Iterator[str]:
    """Lines for a reader: what goes, of each kind the largest first, and why the rest of that kind stays."""
    word = "gone" if apply else "goes"
    for part in parts:
        for kind in dict.fromkeys(verdict.thing.kind for verdict in part.verdicts):
            verdicts = [verdict for verdict in part.verdicts if verdict.thing.kind == kind]
            going = sorted((v for v in verdicts if v.goes), key=lambda v: -(v.thing.size or 0))
            for verdict in going[:SHOWN]:
                thing = verdict.thing
                about = f" ({thing.about})" if thing.about else ""
                yield f"{word}   {_size(thing.size):>9}  {kind} {thing.name}{about}: {verdict.why}"
            if len(going) > SHOWN:
                yield f"{word}   {_total(v.thing for v in going[SHOWN:]):>9}  {len(going) - SHOWN} more of {kind}"
            for why, stay in _grouped(verdicts):
                yield f"stays  {_total(v.thing for v in stay):>9}  {len(stay)} of {kind}: {why}"
    going = [thing for part in parts for thing in part.going]
    yield f"{len(going)} {'are gone' if apply else 'would go'}, {_total(going)}" + (
        "." if apply or not going else "; `make collect APPLY=1` removes them."
    )


def _grouped(verdicts: list[Verdict]) -> Iterator[tuple[str, list[Verdict]]]:
    found: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        if not verdict.goes:
            found.setdefault(verdict.why, []).append(verdict)
    yield from found.items()


def _total(things: Iterator[Thing] | list[Thing]) -> str:
    return _size(sum(thing.size or 0 for thing in things))


def _size(size: int | None) -> str:
    if size is None:
        return "?"
    return f"{size / 1e6:,.1f} MB" if size >= 1e5 else f"{size:,} B"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m flows.retention", description="Show what may go; remove it.")
    parser.add_argument("--apply", action="store_true", help="remove it")
    parser.add_argument("--json", action="store_true", help="every verdict as JSON")
    arguments, root = parser.parse_args(), Path.cwd()
    days = read_params().retention
    with hold(root, "run", "make collect"), ExitStack() as stack:
        parts = list(examine(root, days, stack))
        failed = remove(parts) if arguments.apply else []
    if arguments.json:
        found = [{**asdict(v.thing), "goes": v.goes, "why": v.why} for part in parts for v in part.verdicts]
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        print("\n".join(told(parts, arguments.apply)))
    if failed:
        raise NerError("not all of it could be removed: " + "; ".join(failed))


if __name__ == "__main__":
    run_stage("collect", main)
