"""The command line: `ner --help` lists the commands, `ner COMMAND --help` says what one takes.

Run     ner COMMAND …            (.venv/bin/ner, which `make env` writes, runs the next line where the checkout is)
        python -m ner COMMAND …

Each command is one typed function of another module, which is imported when its command is asked for: PROGRAMS is the
only list of them, and the only place in ner/ that names modules of flows/.
"""

import importlib
from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple

import ner.common  # isort: skip  # noqa: F401  says what to do where the environment is missing
import typer
from typer.core import TyperGroup

from ner.common.cli import run_stage


class Program(NamedTuple):
    """A command of `ner`. function: `module:function`; help: its line in the list and on its own page."""

    panel: str | None
    function: str
    help: str


TRAIN, MODELS, USE, ANNOTATE, OPERATE, DEVELOP = (
    "Data and training", "Models", "Use a model", "Annotate", "Operate", "Develop",
)  # fmt: skip
PROGRAMS = {
    "train": Program(
        TRAIN, "flows.runtime.train_command:main", "Run every stage that has changed, up to a registered model."
    ),
    "new-data": Program(
        TRAIN, "ner.data.onboarding.new_data:main", "Look at your own data, and set up the pipeline for it."
    ),
    "profile": Program(
        TRAIN, "ner.data.validation.profile:main", "Write the data profile that later deliveries are compared with."
    ),
    "sweep": Program(TRAIN, "ner.search.sweep:main", "Search for better hyperparameters (params.yaml, sweep)."),
    "learning-curve": Program(
        TRAIN,
        "flows.runtime.learning_curve_command:main",
        "Say what more annotated documents would bring (trains on parts of them).",
    ),
    "verdict": Program(MODELS, "ner.registry.verdict:main", "Show the last verdict of the gate, with reasons."),
    "compare": Program(
        MODELS, "ner.registry.comparison.compare:main", "Compare two models: which is better, by how much, and where."
    ),
    "history": Program(
        MODELS, "ner.registry.promotion.run:show_history", "Show which version was champion when, and who changed it."
    ),
    "check": Program(
        MODELS, "ner.registry.promotion.run:check", "Run every check of a promotion on a version; record nothing."
    ),
    "rollback": Program(
        MODELS, "ner.registry.promotion.run:go_back", "Roll back: the alias champion goes to the last good version."
    ),
    "record-promotion": Program(
        None, "ner.registry.promotion.run:main", "Check a new champion and add it to the history."
    ),
    "reproduce": Program(MODELS, "ner.registry.reproduce:main", "Print the commands that reproduce a version."),
    "serve": Program(USE, "ner.serving.serve:main", "Serve the champion over HTTP, with a page to try it."),
    "batch": Program(USE, "ner.batch.batch:main", "Batch prediction: the entities of a file or a folder of texts."),
    "monitor": Program(USE, "ner.monitoring.monitor:main", "Detect drift: compare recent texts with validation."),
    "annotate": Program(
        ANNOTATE, "ner.annotation.annotate:main", "Active learning: choose the documents to annotate next."
    ),
    "corrections": Program(ANNOTATE, "ner.annotation.corrections:main", "Import annotated documents as a new corpus."),
    "up": Program(OPERATE, "flows.servers.up:main", "Start the servers and a worker here; Ctrl-C stops all."),
    "doctor": Program(OPERATE, "flows.admin.doctor:main", "Check machine, servers, DVC, registry; say what to do."),
    "backup": Program(OPERATE, "ner.admin.backup:main", "Back up registry and flow history into one archive."),
    "restore": Program(OPERATE, "ner.admin.backup:restore_archive", "Restore a backup into empty stores, and compare."),
    "bench-prediction": Program(
        DEVELOP, "ner.bench.prediction:main", "Measure the speed of prediction, against transformers.pipeline."
    ),
    "bench-training": Program(DEVELOP, "ner.bench.training:main", "Measure the speed of training, against a script."),
    "bench-serving": Program(DEVELOP, "ner.bench.serving:main", "Measure serving, against mlflow models serve."),
}


class Programs(TyperGroup):
    """The group that imports a command only when it runs, so that the list of all is there at once."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, _, rest = super().resolve_command(ctx, args)
        return name, load(str(name)), rest


def load(name: str) -> Any:
    """Return the command with its options. Errors of its function end the process as those of a stage do
    (ner/common/cli.py)."""
    program = PROGRAMS[name]
    module, _, attribute = program.function.partition(":")

    def load_module() -> None:
        importlib.import_module(module)

    run_stage(name, load_module)  # Prefect reads its settings as it is imported
    function: Callable[..., None] = getattr(importlib.import_module(module), attribute)

    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> None:
        run_stage(name, lambda: function(*args, **kwargs))

    single = typer.Typer(add_completion=False)
    single.command(name, help=program.help)(run)
    return typer.main.get_command(single)


app = typer.Typer(
    cls=Programs, help=f"{__doc__.partition(':')[0]} of the pipeline.", add_completion=False,
    no_args_is_help=True, pretty_exceptions_enable=False,
)  # fmt: skip
for _name, _program in PROGRAMS.items():
    app.command(
        _name, help=_program.help, rich_help_panel=_program.panel, hidden=_program.panel is None
    )(lambda: None)  # fmt: skip

if __name__ == "__main__":
    app(prog_name="ner")
