"""One stage: DVC is asked, what has changed is run, its output passed on line by line, its end told in a sentence."""

import os
import re
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from flows.runtime.dvc_graph import DVC_BUSY, forget_damaged, why_changed
from flows.runtime.dvc_remote import NOT_SHARED, receive, remote_of, send
from ner.common.files import read_json
from ner.common.full_disk import is_full
from ner.common.process import OutOfTime, stream
from ner.common.provenance import of_this_repository
from ner.errors import BusyError, GateFailed, NerError, ValidationFailed

RAN, CACHED, FAILED = "ran", "cached", "failed"
REGISTER, LOST = "register", 5  # the stage whose result lives outside of DVC, and how its --check says that it is gone
GATE, VERDICT = "gate", Path("reports/gate.json")  # the stage that reads what lives there, the champion
STATUS_ERRORS = {error.exit_status: error for error in (ValidationFailed, GateFailed)}

# What DVC says after every stage, which tells the reader of a run nothing.
_CHATTER = re.compile(
    r"(Updating|Generating) lock file|To (track the changes|enable auto staging)|\s+(git add|dvc config) "
    r"|Use `dvc push`"
)
_FROM_CACHE = re.compile(r"^Stage '.*' is cached - skipping run")
_NOTHING_TO_DO = re.compile(r"^Stage '.*' didn't change, skipping")
TOO_LONG = (
    "it took more than {:g} min, its limit, and was ended; set limits.stage_minutes_of in params.yaml higher, "
    "or find out in its log what it waits for, then run the same command again."
)
_STATUS = re.compile(r"exited with (-?\d+)$")
_BUSY = re.compile(r"Unable to acquire lock|is busy, it is being blocked by|has locks on it")


@dataclass(frozen=True)
class Outcome:
    """How a stage ended: ran, cached or failed; `sentence` says why, `exit_status` what it told the shell."""

    how: str
    sentence: str
    exit_status: int = 0


def run_stage(
    root: Path, name: str, environment: Mapping[str, str], log: Callable[[str], None], minutes: float | None = None
) -> Outcome:
    """Bring one stage up to date in `root`. Everything that it prints goes to `log`. Raises BusyError.

    Where DVC has a default remote, the result is taken from there if another checkout has put it there, and sent there
    if not. A stage that takes more than `minutes` is ended. What comes out of DVC's cache is verified: a damaged file
    is removed from it, and the stage runs.
    """
    reasons = why_changed(root, name, log)
    options = ["--single-item"]
    if not reasons and name == GATE and has_failed(root):
        log("The gate failed, and the champion may be another one by now: judging again.")
        options.append("--force")
    elif not reasons:
        if name != REGISTER or is_registered(root, environment, log):
            return Outcome(CACHED, f"{name}: cached, nothing that it depends on has changed.")
        log("The registry no longer has the version that DVC's cache has: registering again.")
        options.append("--force")
    else:
        log(f"{name}: changed: {', '.join(reasons)}")
    if name in NOT_SHARED or remote_of(root) is None:
        return reproduce(root, name, options, environment, log, minutes)
    receive(root, name, log)
    outcome = reproduce(root, name, options, environment, log, minutes)
    if outcome.how != FAILED:
        send(root, name, log)
    return outcome


def reproduce(
    root: Path,
    name: str,
    options: list[str],
    environment: Mapping[str, str],
    log: Callable[[str], None],
    minutes: float | None = None,
) -> Outcome:
    """Run `dvc repro` for one stage; its result may come from DVC's run cache. Raises BusyError."""
    listener = _Listener(name, log)
    command = [sys.executable, "-m", "dvc", "repro", *options, name]
    try:
        status = stream(command, root, environment, listener.hear, None if minutes is None else minutes * 60)
    except OutOfTime:
        return Outcome(FAILED, f"{name}: {TOO_LONG.format(minutes)}", 1)
    if status == 0 and listener.cached and "--force" not in options and forget_damaged(root, name, log):
        return reproduce(root, name, [*options, "--force"], environment, log, minutes)
    if status == 0:
        if listener.cached:
            return Outcome(CACHED, f"{name}: cached, its result came from DVC's cache.")
        return Outcome(RAN, listener.said or f"{name}: ran.")
    if listener.is_busy:
        raise BusyError(DVC_BUSY)
    return Outcome(FAILED, listener.sentence or f"{name}: ended with status {status}.", listener.status or 1)


def is_registered(root: Path, environment: Mapping[str, str], log: Callable[[str], None]) -> bool:
    """Return whether the registry still has the version in reports/registration.json; True where nobody can tell."""
    if not (root / "tasks" / f"{REGISTER}.py").exists():
        return True
    status = stream([sys.executable, "-m", f"tasks.{REGISTER}", "--check"], root, environment, log)
    if status not in (0, LOST):
        log("Whether the registry still has the version could not be found out; DVC's word is taken.")
    return status != LOST


def has_failed(root: Path) -> bool:
    """Return whether the last verdict of stage `gate` is that the model failed."""
    return (root / VERDICT).exists() and not read_json(root / VERDICT)["passed"]


def stage_environment(flow_run_id: str, flow_run_url: str | None) -> dict[str, str]:
    """Return the environment of every stage: ours, our Python first on PATH, and the flow run's name."""
    binaries = str(Path(sys.executable).parent)
    environment = {
        **of_this_repository({name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}),
        "PATH": os.pathsep.join([binaries, os.environ.get("PATH", os.defpath)]),
        "PYTHONUNBUFFERED": "1",
        "DVC_NO_ANALYTICS": "1",
        "NER_FLOW_RUN_ID": flow_run_id,
    }
    if flow_run_url:
        environment["NER_FLOW_RUN_URL"] = flow_run_url
    return environment


def failure(outcome: Outcome) -> NerError:
    """Return the error that carries a failed stage's sentence and its exit status."""
    return STATUS_ERRORS.get(outcome.exit_status, NerError)(outcome.sentence)


class _Listener:
    """Passes a stage's lines on, and keeps what tells how it ends."""

    def __init__(self, name: str, log: Callable[[str], None]) -> None:
        self._own = re.compile(rf"^{re.escape(name)}: \S")
        self._log, self._name = log, name
        self.said: str | None = None
        self._error: str | None = None
        self.cached = self.is_busy = False
        self.status: int | None = None

    def hear(self, line: str) -> None:
        self.cached |= bool(_FROM_CACHE.match(line) or _NOTHING_TO_DO.match(line))
        self.is_busy |= bool(_BUSY.search(line)) and self.said is None
        if self._own.match(line):
            self.said = line
        if line.startswith("ERROR: "):
            self._error = line.removeprefix("ERROR: ")
            if ended := _STATUS.search(line):
                self.status = int(ended[1])
        if not _CHATTER.match(line):
            self._log(line)

    @property
    def sentence(self) -> str | None:
        """Return the stage's own error message, else what DVC printed, in words."""
        if self.said:
            return self.said
        if self.status is not None and self.status < 0:
            why = "often the memory ran out" if self.status == -signal.SIGKILL else "run the same command again"
            return f"{self._name}: it was killed (signal {-self.status}); {why}."
        if self.status is not None:
            return f"{self._name}: it ended with status {self.status}; the lines above in its log say why."
        if self._error and is_full(self._error):
            return (
                f"{self._name}: the disk is full, so DVC could not keep its result, which lies in the working tree: "
                f"make room, then `dvc commit --force {self._name}` keeps it without running the stage again."
            )
        return (
            f"{self._name}: {self._error.removeprefix(f'failed to reproduce {self._name!r}: ')}"
            if self._error
            else None
        )
