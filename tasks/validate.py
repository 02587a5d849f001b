"""Stage `validate`: Great Expectations over every split, before anything is trained.

Run     python -m tasks.validate
Reads   data/prepared, profiles/<source>.json where there is one, params.yaml [validation]
Writes  reports/validation.json and reports/data_docs/, always; data/validated.json where everything holds, otherwise it
        ends with status 3 and one sentence: what is broken first, in which file and line
"""

from pathlib import Path

from ner.common.cli import run_stage
from ner.common.files import read_params
from ner.common.tables import plain_table
from ner.data.validation.profile import PROFILES
from ner.data.validation.run import validate

PREPARED, VALIDATED, REPORTS = Path("data/prepared"), Path("data/validated.json"), Path("reports")


def main() -> None:
    rows = validate(PREPARED, VALIDATED, REPORTS, read_params().validation, PROFILES)
    print(plain_table([["split", "sentences", "expectations held", "seconds"], *rows]), flush=True)


if __name__ == "__main__":
    run_stage("validate", main)
