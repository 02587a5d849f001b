"""Where the aliases of a registered model point, and whether the files of those versions are there.

Run     python -m ner.registry.aliases ner       (as JSON; beside other work, since MLflow takes seconds to import)
"""

import json
import sys
from collections.abc import Iterable

from ner.common.cli import run_stage
from ner.registry.versions import has_files
from ner.tracking.mlflow_store import NOT_THERE, client, exists, registry_errors

ALIASES = ("champion", "challenger")


def read_aliases(model: str, aliases: Iterable[str] = ALIASES) -> dict[str, tuple[str, bool] | None]:
    """For each alias the version's number and whether its files are there; None where no version has it."""
    from mlflow.exceptions import MlflowException

    versions: dict[str, tuple[str, bool] | None] = dict.fromkeys(aliases)
    if not exists():
        return versions
    with registry_errors():
        store = client()
        for alias in versions:
            try:
                version = store.get_model_version_by_alias(model, alias)
            except MlflowException as error:
                if error.error_code not in NOT_THERE:
                    raise
                continue
            versions[alias] = (str(version.version), has_files(version))
    return versions


if __name__ == "__main__":
    run_stage("registry", lambda: print(json.dumps(read_aliases(sys.argv[1]))))
