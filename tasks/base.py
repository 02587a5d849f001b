"""Stage `base`: fetch the pretrained encoder that model.base names: safetensors, configuration and tokenizer, no code.

Run     python -m tasks.base        (DVC runs the same line)
Reads   catalog.yaml, params.yaml [model], local/
Writes  models/base/{config.json, model.safetensors, tokenizer files}, models/base.json (where they come from,
        kept apart so that other words in the catalogue do not train again)
"""

import json
import shutil
from pathlib import Path
from typing import Any

from tasks.cli import run_stage  # isort: skip  first: it switches telemetry off
from ner.errors import ModelError
from tasks.catalog import Encoder, read_catalog
from tasks.encoders import FetchedEncoder, fetch_encoder
from tasks.io import read_params, replacing_folder, sha256_file, write_json
from tasks.sources import scratch_beside

BASE = Path("models/base")
TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json")


def fetch_base(name: str, base: Path) -> dict[str, Any]:
    """Put the encoder into the folder `base`, whole or not at all; returns what base.json beside it says.

    Raises CatalogError, SourceError, and ModelError for an encoder that could only be loaded by running code.
    """
    names = read_catalog()
    with scratch_beside(base) as scratch:
        fetched = fetch_encoder(name, names, scratch)
        check_encoder(fetched.folder, name)
        about = _about(name, fetched)
        with replacing_folder(base) as temporary:
            for file in sorted(fetched.folder.iterdir()):
                shutil.move(file, temporary / file.name)
        write_json(base.with_suffix(".json"), about)
    return about


def check_encoder(folder: Path, name: str) -> None:
    """Raises ModelError where the configuration cannot be read, asks for code of its own, or there is no tokenizer."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{name}: config.json cannot be read ({error}).") from None
    if not isinstance(config, dict) or "model_type" not in config:
        raise ModelError(f"{name}: config.json names no model_type, so it is no encoder that transformers can load.")
    if "auto_map" in config:
        raise ModelError(
            f"{name} brings its own Python code (auto_map in config.json), which is never run: choose an encoder whose "
            "architecture is part of transformers."
        )
    if not any((folder / file).is_file() for file in TOKENIZERS):
        raise ModelError(f"{name} has no tokenizer: one of {', '.join(TOKENIZERS)} is needed.")


def _about(name: str, fetched: FetchedEncoder) -> dict[str, Any]:
    known = fetched.entry if isinstance(fetched.entry, Encoder) else None
    return {
        "name": name,
        "kind": fetched.entry.kind,
        "origin": fetched.origin,
        "revision": fetched.revision,
        "license": known.license if known else "unknown",
        "description": known.description if known else name,
        "url": known.url if known else None,
        "sha256": sha256_file(fetched.folder / "model.safetensors"),
    }


def main() -> None:
    about = fetch_base(read_params().model.base, BASE)
    print(f"{about['name']} ({about['license']}) in {BASE}, weights sha256 {about['sha256'][:12]}")


if __name__ == "__main__":
    run_stage("base", main)
