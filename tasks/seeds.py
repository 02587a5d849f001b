"""Stage `seeds`: train once more with each seed in seeds.extra, to tell an effect from luck.

Run     python -m tasks.seeds
Reads   reports/metrics.json, params.yaml [encoding, train, prediction, seeds], and with extra seeds data/prepared,
        data/validated.json, models/base, models/base.json
Writes  reports/seeds.json, reports/seeds.csv (a row a seed)

Without extra seeds the main model's scores are all there is, and no library of deep learning is loaded. A killed run
goes on with the seed that it was at: what a seed has reached lies in checkpoints/seeds/<key>, and its result stays.
"""

from pathlib import Path

from ner.common.cli import end_in_order, run_stage
from ner.common.files import read_params
from ner.search.seeds import check_seeds, compare_seeds, seeds_table

PREPARED, VALIDATED, BASE = Path("data/prepared"), Path("data/validated.json"), Path("models/base")
CHECKPOINTS, REPORTS = Path("checkpoints/seeds"), Path("reports")


def main() -> None:
    params = read_params()
    end_in_order()
    if params.seeds.extra:
        check_seeds(params)
        from ner.training.run import prepare_libraries

        prepare_libraries(PREPARED, VALIDATED)
    print(seeds_table(compare_seeds(params, PREPARED, BASE, CHECKPOINTS, REPORTS)), flush=True)


if __name__ == "__main__":
    run_stage("seeds", main)
