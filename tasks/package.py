"""Stage `package`: the model as it is handed out, in one folder: weights, tokenizer, temperature and card.

Run     python -m tasks.package
Reads   models/ner, data/prepared/manifest.json, reports/{gate,metrics,reference,training,validation,seeds}.json,
        reports/{history,slices,thresholds,confusion,label_issues}.csv, dvc.lock, params.yaml
Writes  models/release: the files of models/ner, its config.json with how it is to be read, reference.json, which later
        texts are held against (ner monitor), and README.md, the card; reports/card.md, the same card, for git

Anybody's `transformers.pipeline("token-classification", model="models/release")` loads it; no torch is loaded here.
"""

from pathlib import Path

from ner.common.cli import run_stage
from ner.common.files import read_params
from ner.registry.release import RELEASE, package


def main() -> None:
    params = read_params()
    content = package(Path(), params.registry.model, params.prediction.overlap)
    print(f"{RELEASE} with card and temperature, content {content[:12]}")


if __name__ == "__main__":
    run_stage("package", main)
