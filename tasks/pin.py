"""Stage `pin`: what params.yaml names in catalog.yaml and local/, with digests, so that nothing else there counts.

Run     python -m tasks.pin        (DVC runs the same line)
Reads   catalog.yaml, local/, params.yaml [data.source, model.base, evaluation.corrected_test]
Writes  data/pinned/{corpus,encoder,corrected_test}.json

DVC runs it whenever something in local/ or the catalogue changes; `ingest`, `base` and `evaluate` depend on its files,
and run when what they read is another. The stage that needs a name reports what is wrong with it.
"""

from pathlib import Path

from ner.common.cli import run_stage
from ner.common.files import read_params, replacing_folder, write_json
from ner.data.sources.pin import pinned

PINNED = Path("data/pinned")


def main() -> None:
    with replacing_folder(PINNED) as folder:
        for name, value in pinned(read_params()).items():
            write_json(folder / f"{name}.json", value)


if __name__ == "__main__":
    run_stage("pin", main)
