"""Stage `base`: fetch the pretrained encoder that model.base names: safetensors, configuration and tokenizer, no code.

Run     python -m tasks.base        (DVC runs the same line)
Reads   catalog.yaml, params.yaml [model], local/; of the rest only whether it suits the encoder
Writes  models/base/{config.json, model.safetensors, tokenizer files, recipe.json where the catalogue has one},
        models/base.json (where they come from, kept apart so that other words in the catalogue do not train again)
"""

from pathlib import Path

from ner.common.cli import run_stage  # isort: skip  first: it switches telemetry off
from ner.common.files import read_params
from ner.data.sources.base_encoder import fetch_base
from ner.training.encoder_limits import check_parameters

BASE = Path("models/base")


def main() -> None:
    params = read_params()
    about = fetch_base(params.model.base, BASE)
    print(f"{about['name']} ({about['license']}) in {BASE}, weights sha256 {about['sha256'][:12]}", flush=True)
    check_parameters(BASE, params)


if __name__ == "__main__":
    run_stage("base", main)
