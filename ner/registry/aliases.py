"""Where the aliases of a registered model point, and whether the files of those versions are there.

Run     python -m ner.registry.aliases ner       (as JSON; beside other work, since MLflow takes seconds to import)
"""

import json
import sys

from ner.common.cli import run_stage
from ner.registry.champion import find_alias
from ner.registry.versions import has_files


def read_aliases(model: str) -> dict[str, tuple[str, bool] | None]:
    """For each alias the version's number and whether its files are there; None where no version has it."""
    versions = {alias: find_alias(model, alias) for alias in ("champion", "challenger")}
    return {alias: version and (str(version.version), has_files(version)) for alias, version in versions.items()}


if __name__ == "__main__":
    run_stage("registry", lambda: print(json.dumps(read_aliases(sys.argv[1]))))
