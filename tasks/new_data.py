"""Bring your own data: what is in a file or a folder, and everything that `make train` needs to know about it.

Run     make new-data FROM=path [NAME=name] [ARGS="--format prodigy --set scheme=IOB1 --dry-run"]
Reads   the file or folder; catalog.yaml, params.yaml, models/base where it is there
Writes  the entry in catalog.yaml, profiles/<name>.json, and in params.yaml what this data needs; with --dry-run nothing

The same NAME again is a second delivery: new checksums, held to the profile of the first. Everything is read as stage
`ingest` reads it and checked as stage `validate` checks it, in a folder that is removed at the end.
"""

import argparse
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from tasks.cli import run_stage  # isort: skip  first: it switches telemetry off
from ner.errors import CatalogError, ParamsError, SourceError
from ner.params import Params, check_params, read_yaml
from ner.readers import FORMATS, OPTIONS, Recognised, read, recognise
from tasks.catalog import CATALOG, UNLABELLED, read_catalog, resolve_encoder
from tasks.guess_language import UNKNOWN, guess_language
from tasks.io import PARAMS, write_json
from tasks.new_entry import default_name, merged, new_entry
from tasks.prepared import read_split
from tasks.profile import differences, profile_path, read_profile, scripts_of
from tasks.progress import printing
from tasks.proposals import Change, encoder_fit, gate_change, limit_changes, up, warnings, window_change
from tasks.seen_data import SeenData
from tasks.yaml_file import YamlFile, put, quoted

BASE = Path("models/base")
LOOKED_AT = 2000  # documents whose words tell the language


def new_data(options: argparse.Namespace) -> None:
    """Look, tell, and write. Raises CorpusError for what cannot be read, CatalogError for a name that is taken."""
    path = Path(options.path).expanduser()
    if not path.exists():
        raise SourceError(
            f"{path} is not there: FROM names a file or a folder (a data set of the hub needs no entry, only its "
            "owner/name as data.source in params.yaml)."
        )
    found = recognise(path, options.format, printing(f"recognising {path}"), **settings_of(options.set))
    print("\n".join(found.lines()), flush=True)
    name = options.name or default_name(path)
    catalog, params = YamlFile(CATALOG), YamlFile(PARAMS)
    entry = new_entry(found, path, f"{path.name}, added by make new-data")
    entry = merged(catalog.tree["corpora"].get(name), entry, name, bool(options.name))
    entry = described(entry, options, found)
    put(catalog.tree["corpora"], quoted(name), quoted(entry))
    catalog.apart = f"  {name}:"
    with tempfile.TemporaryDirectory() as scratch:
        old_profile = None if options.new_profile else read_profile(name)
        seen = SeenData(name, Path(scratch), catalog.after(), old_profile)
        print("\n".join(seen.lines()), flush=True)
        changes = list(proposed(seen, params, options))
        print("\n".join(seen.wrong(check_params(read_yaml(params.after())))), flush=True)
    finish(seen, catalog, params, changes, options.dry_run)
    if Path(entry["folder"]).is_absolute():
        print(
            f"note: the files are outside the repository, so {CATALOG} names their folder as it is on this machine, "
            f"{entry['folder']}; to take them along, put them into local/ and run this again."
        )


def settings_of(given: Sequence[str]) -> dict[str, Any]:
    """`key=value` of --set as options of a format; a value is read as YAML reads it."""
    settings = {}
    for one in given:
        key, equals, value = one.partition("=")
        if not equals or key not in OPTIONS:
            raise CatalogError(f"--set {one}: need key=value, with a key of {', '.join(sorted(OPTIONS))}.")
        settings[key] = value if key in ("prefix", "misc_key") or key.endswith("_field") else read_yaml(value)
    return settings


def described(entry: dict[str, Any], options: argparse.Namespace, found: Recognised) -> dict[str, Any]:
    """The entry with what the options say, and with its language, guessed from its words where nobody says it."""
    given = {key: getattr(options, key) for key in ("description", "license", "language") if getattr(options, key)}
    entry = {**entry, **given} | ({"in_order": True} if options.in_order else {})
    if found.format.language:
        entry["language"] = found.format.language
    if entry["language"] == UNKNOWN:
        entry["language"] = language_of(found)
    return entry


def language_of(found: Recognised) -> str:
    """Guessed from the words of the first documents."""
    paths = next(paths for split, paths in found.files.items() if split != UNLABELLED)
    words: Counter[str] = Counter()
    for document in islice(read(paths, found.format), LOOKED_AT):
        words.update(token for row in document.sentences for token in row.tokens)
    scripts: Counter[str] = Counter()
    for word, count in words.items():
        scripts.update({script: count for script in scripts_of(word)})
    return guess_language(words, {script: count / scripts.total() for script, count in scripts.items()})


def proposed(seen: SeenData, file: YamlFile, options: argparse.Namespace) -> Iterator[Change]:
    """Set what this data needs in the tree of params.yaml; a second delivery is held to the limits that there are."""
    if options.base:
        resolve_encoder(options.base, read_catalog())
        file.tree["model"]["base"] = options.base
    params = check_params(read_yaml(file.after()))
    fit = encoder_fit(read_split(seen.prepared, "train").tokens, BASE, params.model.base)
    if fit.measured:
        print(
            f"encoder: {params.model.base}, {fit.a_token:.2f} subwords a token, no sign for {fit.unknown:.2%} of them"
        )
    found = [Change("data.source", seen.name, "the new data"), *window_change(fit, params)]
    if seen.old_profile is None:
        found += limit_changes(seen.tables, params, seen.manifest["document_boundaries"])
    found += gate_change(seen.profile["types"], params)
    if options.accept_losses:
        found += losses(seen, params)
    for change in found:
        block, key = change.key.split(".")
        if file.tree[block][key] != change.value:
            file.tree[block][key] = quoted(change.value)
            yield change
    for warning in warnings(fit, seen.manifest["language"], seen.tables, params, seen.profile["types"]):
        print(f"warning: {warning}", flush=True)


def losses(seen: SeenData, params: Params) -> Iterator[Change]:
    """The limit that what was not kept needs, where somebody asks for it."""
    tables = [own["annotations"]["not_kept"] for own in seen.tables.values() if "annotations" in own]
    share = max((float(column.notna().mean()) for column in tables), default=0.0)
    if share > params.validation.max_entities_not_kept:
        reason = f"{share:.2%} were not kept, which --accept-losses accepts"
        yield Change("validation.max_entities_not_kept", up(share), reason)


def finish(seen: SeenData, catalog: YamlFile, params: YamlFile, changes: Sequence[Change], is_dry_run: bool) -> None:
    """Tell what changes, and change it."""
    path = profile_path(seen.name)
    if seen.old_profile is not None:
        lines = list(differences(seen.old_profile, seen.profile)) or ["nothing"]
        print(f"{path} stays (--new-profile replaces it); this delivery differs from it in:")
        print("\n".join(f"  {line}" for line in lines))
    for file in (catalog, params):
        print(file.diff() or f"{file.path} stays as it is")
    for change in changes:
        print(f"{change.key}: {change.value}: {change.reason}")
    if is_dry_run:
        print("nothing is written (--dry-run)")
        return
    if seen.old_profile is None:
        write_json(path, seen.profile)
        print(f"{path} is written")
    catalog.write()
    params.write()
    then = (
        f"`make train` trains on {seen.name}" if seen.passed else "`make train` stops at what breaks validation above"
    )
    print(f"{CATALOG} and {PARAMS} are written: {then}", flush=True)


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(prog="make new-data", description=__doc__.splitlines()[0])
    found.add_argument("--from", dest="path", required=True, metavar="PATH", help="a file or a folder")
    found.add_argument("--name", help="in catalog.yaml; by default the name of the file or folder")
    found.add_argument("--format", choices=FORMATS, help="where it is not to be recognised")
    found.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="what is known of the format")
    found.add_argument("--language", help="its code (pt, zh, ar); by default guessed from the words")
    found.add_argument("--description", help="for the catalogue and the card")
    found.add_argument("--license", help="for the catalogue and the card")
    found.add_argument("--base", help="the encoder, for model.base")
    found.add_argument("--in-order", action="store_true", help="sentences follow each other as in the text")
    found.add_argument("--accept-losses", action="store_true", help="train although entities could not be kept")
    found.add_argument("--new-profile", action="store_true", help="later deliveries are held to this one")
    found.add_argument("--dry-run", action="store_true", help="look and tell, write nothing")
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser().parse_args(arguments)
    if not options.path.strip():
        raise ParamsError("name a file or a folder: make new-data FROM=path.")
    new_data(options)


if __name__ == "__main__":
    run_stage("new-data", main)
