"""What registered versions need, by their tags (outputs by md5, MLflow runs, flow runs), and where aliases point.

needs = read_needs()            # raises RegistryError where the registry cannot be asked: then nobody knows
needs.outputs["0c3f….dir"]      # "ner/3"
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tasks.registry import has_files
from tasks.store import client, exists, registry_errors

LOCKED, PAGE = "dvc_lock.", 200
ALIASES = ("champion", "challenger")


@dataclass
class Needs:
    """Each thing that a version needs, with the version's name (ner/3) as the reason to keep it."""

    outputs: dict[str, str] = field(default_factory=dict)  # md5 by dvc.lock, folders with .dir
    mlflow_runs: dict[str, str] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)  # MLflow's logged models, which hold the files
    flow_runs: dict[str, str] = field(default_factory=dict)

    def add(self, version: Any) -> None:
        """Take over what one version of the registry names."""
        name = f"{version.name}/{version.version}"
        for tag, value in version.tags.items():
            if tag.startswith(LOCKED):
                self.outputs.setdefault(value, name)
            elif tag == "mlflow_run_id":
                self.mlflow_runs.setdefault(value, name)
            elif tag == "flow_run_id":
                self.flow_runs.setdefault(value, name)
        kind, _, rest = (version.source or "").partition(":/")
        if kind == "models" and rest.startswith("m-"):
            self.models.setdefault(rest.partition("/")[0], name)
        of_run = version.run_id or (rest.lstrip("/").partition("/")[0] if kind == "runs" else None)
        if of_run:
            self.mlflow_runs.setdefault(of_run, name)


def read_needs() -> Needs:
    """What the versions of all registered models need. Raises RegistryError."""
    needs = Needs()
    if exists():
        with registry_errors():
            store = client()
            for version in all_versions(store):
                needs.add(version)
            for model_id, name in needs.models.items():
                needs.mlflow_runs.setdefault(store.get_logged_model(model_id).source_run_id, name)
    return needs


def all_versions(store: Any) -> Iterator[Any]:
    """Every version of every model."""
    yield from pages(lambda token: store.search_model_versions(max_results=PAGE, page_token=token))


def pages(ask: Any) -> Iterator[Any]:
    """What a paged search of MLflow gives, page after page."""
    token = None
    while True:
        found = ask(token)
        yield from found
        token = found.token
        if not token:
            return


def read_aliases(model: str, aliases: Iterable[str] = ALIASES) -> dict[str, tuple[str, bool] | None]:
    """For each alias the version's number and whether its files are there; None where no version has it.

    Raises RegistryError.
    """
    from mlflow.exceptions import MlflowException

    found: dict[str, tuple[str, bool] | None] = dict.fromkeys(aliases)
    if not exists():
        return found
    with registry_errors():
        store = client()
        for alias in found:
            try:
                version = store.get_model_version_by_alias(model, alias)
            except MlflowException as error:
                if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    raise
                continue
            found[alias] = (str(version.version), has_files(version))
    return found
