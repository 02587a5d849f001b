"""Stage `ingest`: fetch the corpus that data.source names, check it, and write a parquet file for each split.

Run     python -m tasks.ingest        (DVC runs the same line)
Reads   catalog.yaml, params.yaml [data], local/, and what the catalogue names
Writes  data/prepared/{train,validation,test}.parquet and manifest.json; unlabelled.parquet where there is such text;
        problems.csv, everything that was not kept, of a corpus with a format, types, made splits or several sources
"""

from pathlib import Path

from ner.common.cli import run_stage  # isort: skip  first: it switches telemetry off
from ner.common.files import read_params
from ner.data.sources.prepared_writer import ingest, summary

PREPARED = Path("data/prepared")


def main() -> None:
    manifest = ingest(read_params().data.source, PREPARED)
    print(summary(manifest))


if __name__ == "__main__":
    run_stage("ingest", main)
