"""Stage `folds`: cross-validation of training and validation together, where split.folds asks for it.

Run     python -m tasks.folds
Reads   data/prepared, data/validated.json, models/base, models/base.json,
        params.yaml [encoding, prediction, split, train]
Writes  reports/folds: folds.json (F1 and best epoch of each fold) and, with folds, validation.parquet: what each fold's
        model, which has not seen them, predicts of its documents

Without folds there is nothing to do, and no library of deep learning is loaded. A killed run goes on with the fold that
it was in: what a fold has reached lies in checkpoints/folds/<key>, and its result stays.
"""

from pathlib import Path

from ner.common.cli import end_in_order, run_stage
from ner.common.files import read_params, replacing_folder, write_json

PREPARED, VALIDATED, BASE = Path("data/prepared"), Path("data/validated.json"), Path("models/base")
CHECKPOINTS, FOLDS = Path("checkpoints/folds"), Path("reports/folds")


def main() -> None:
    params = read_params()
    end_in_order()
    if not params.split.folds:
        with replacing_folder(FOLDS) as temporary:
            write_json(temporary / "folds.json", {"folds": 0})
        print("no cross-validation: split.folds is 0", flush=True)
        return
    from ner.search.folds import cross_validate, folds_table
    from ner.training.run import prepare_libraries

    prepare_libraries(PREPARED, VALIDATED)
    print(folds_table(cross_validate(params, PREPARED, BASE, CHECKPOINTS, FOLDS)), flush=True)


if __name__ == "__main__":
    run_stage("folds", main)
