"""Fetches the pretrained encoder that a name stands for: safetensors, configuration and tokenizer, no code.

fetch_base("all-mpnet-base-v2", Path("models/base"))        # and models/base.json, which says where it comes from
"""

import json
import shutil
from pathlib import Path
from typing import Any

from ner.common.files import replacing_folder, sha256_file, write_json
from ner.data.sources.catalog import read_catalog
from ner.data.sources.catalog_entries import Encoder
from ner.data.sources.corpora import scratch_beside
from ner.data.sources.encoders import FetchedEncoder, fetch_encoder
from ner.errors import ModelError

RECIPE = "recipe.json"  # what the catalogue's entry says of its training; in `base`, so that another one trains anew
TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json")


def fetch_base(name: str, base: Path) -> dict[str, Any]:
    """Fetch the encoder into the folder `base`, whole or not at all; returns what base.json beside it says.

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
            if recipe := getattr(fetched.entry, "recipe", None):
                write_json(temporary / RECIPE, recipe)
        write_json(base.with_suffix(".json"), about)
    return about


def check_encoder(folder: Path, name: str) -> None:
    """Raise ModelError where the configuration cannot be read or asks for code of its own, or the tokenizer is
    missing.
    """
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
        "hub_id": getattr(fetched.entry, "mirrors", None) or getattr(fetched.entry, "id", None),
        "origin": fetched.origin,
        "revision": fetched.revision,
        "license": known.license if known else "unknown",
        "description": known.description if known else name,
        "url": known.url if known else None,
        "sha256": sha256_file(fetched.folder / "model.safetensors"),
    }
