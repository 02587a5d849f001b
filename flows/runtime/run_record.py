"""What became of a run: the outcome of each stage, and which reports belong to it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from flows.runtime.dvc_graph import Stage, maker_of
from flows.runtime.run_stage import CACHED, RAN, Outcome
from ner.common.files import read_json
from ner.evaluation.gate import export_failure, failure
from ner.tracking.determined import registration_record, training_record

METRICS, GATE, VALIDATION = "reports/metrics.json", "reports/gate.json", "reports/validation.json"
TRAINING, REGISTRATION, EXPORT = "reports/training.json", "reports/registration.json", "reports/export.json"
READERS = {TRAINING: training_record, REGISTRATION: registration_record}
DATA_DOCS, REPORT, CARD = "reports/data_docs/index.html", "reports/report.html", "reports/card.md"


@dataclass
class Record:
    """A run as it stands: its stages' outcomes in their order, and where its reports are."""

    flow_run_id: str
    folder: Path  # the reports' parent: the checkout, or what is kept of a workspace
    started: float  # seconds since the epoch
    changes: dict[str, Any] = field(default_factory=dict)
    stages: list[Stage] = field(default_factory=list)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    sentence: str = ""  # why the run failed
    exit_status: int = 0
    last: ClassVar["Record | None"] = None  # of this process, whose end Prefect may not have heard of

    def report(self, path: str) -> Path | None:
        """Return the report, if it is of this run: its stage ran or was cached, or failed and still wrote it."""
        outcome = self.outcomes.get(maker_of(self.stages, path) or "")
        file = self.folder / path
        if outcome is None or not file.exists():
            return None
        is_of_this_run = outcome.how in (RAN, CACHED) or file.stat().st_mtime >= self.started
        return file if is_of_this_run else None

    def read(self, path: str) -> dict[str, Any]:
        """Return the JSON report if it is of this run, with what was measured here beside it; else an empty one."""
        file = self.report(path)
        return READERS.get(path, read_json)(file) if file else {}

    def refused(self) -> str:
        """Return which gate rules failed, in a sentence; empty where all passed or the gate did not run."""
        gate, export = self.read(GATE), self.read(EXPORT)
        if gate and not gate["passed"]:
            return f"gate: {failure(gate)}"
        formats = export_failure(export) if export else ""
        return f"register_export: {formats}" if formats else ""
