"""`ner new-data`: reads a file or a folder of annotated text, and enters everything that `make train` needs to know
about it.

Run     ner new-data PATH [--name NAME] [--format prodigy] [--set scheme=IOB1] [--dry-run]
Reads   the file or folder; catalog.yaml, params.yaml, models/base where it is there
Writes  the entry in catalog.yaml, profiles/<name>.json, and in params.yaml what this data needs; with --dry-run nothing

The same name again is a second delivery: new checksums, held to the profile of the first. Everything is read as stage
`ingest` reads it and checked as stage `validate` checks it, in a folder that is removed at the end. The libraries for
that are imported when it is recognised and told of, since they take seconds.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ner.common.files import PARAMS, write_json
from ner.common.imports import without
from ner.common.progress import on_progress
from ner.common.yaml_edit import YamlFile, put, quoted
from ner.data.formats import FORMATS, OPTIONS, Recognised, read, recognise
from ner.data.formats.data_files import unpacked
from ner.data.formats.format_detection import TAGGED
from ner.data.onboarding.catalog_entry import default_name, merged, new_entry
from ner.data.onboarding.language import UNKNOWN, guess_language
from ner.data.sources.catalog import CATALOG, read_catalog, resolve_encoder
from ner.data.sources.catalog_entries import UNLABELLED
from ner.data.validation.profile import differences, profile_path, read_profile
from ner.errors import CatalogError, ParamsError, SourceError
from ner.params import ValidationParams, check_params, read_yaml

if TYPE_CHECKING:
    from ner.data.onboarding.limits import Change
    from ner.data.onboarding.preview import SeenData

BASE = Path("models/base")
SOUND = "validation: nothing that was measured breaks a limit; without --dry-run every expectation is checked"
LOOKED_AT = 20_000  # words that tell the language


@dataclass(frozen=True)
class Options:
    """What a person says about the data, as `main` explains it."""

    name: str | None = None
    format: str | None = None
    settings: Sequence[str] = ()
    language: str | None = None
    description: str | None = None
    license: str | None = None
    base: str | None = None
    in_order: bool = False
    accept: Sequence[str] = ()
    new_profile: bool = False
    dry_run: bool = False


def new_data(path: Path, options: Options) -> None:
    """Read the data, print a preview and write the changes. Raises CorpusError for unreadable data, CatalogError for a
    name in use.
    """
    path = path.expanduser()
    if not path.exists():
        raise SourceError(
            f"{path} is not there: name a file or a folder (a data set of the hub needs no entry, only its "
            "owner/name as data.source in params.yaml)."
        )
    recognised = recognise(path, options.format, on_progress(f"recognising {path}"), **settings_of(options.settings))
    print("\n".join(recognised.lines()).replace(str(unpacked(path)), str(path)), flush=True)
    if recognised.format.name not in TAGGED:
        with without("torch"):
            import spacy  # noqa: F401  # by whose rules texts are cut; torch, which it would import, takes seconds
    name = options.name or default_name(path)
    catalog, params = YamlFile(CATALOG), YamlFile(PARAMS)
    entry = new_entry(recognised, path, f"{path.name}, added by ner new-data")
    entry = merged(catalog.tree["corpora"].get(name), entry, name, bool(options.name))
    entry = described(entry, options, recognised)
    put(catalog.tree["corpora"], quoted(name), quoted(entry))
    catalog.apart = f"  {name}:"
    from ner.data.onboarding.preview import SeenData

    with tempfile.TemporaryDirectory() as scratch:
        old_profile = None if options.new_profile else read_profile(name)
        seen = SeenData(name, Path(scratch), catalog.after(), old_profile)
        print("\n".join(seen.lines()), flush=True)
        changes = list(proposed(seen, params, options))
        if options.dry_run and seen.is_sound(check_params(read_yaml(params.after()))):
            print(SOUND, flush=True)
        else:
            print("\n".join(seen.wrong(check_params(read_yaml(params.after())))), flush=True)
    finish(seen, catalog, params, changes, options.dry_run)
    if Path(entry["folder"]).is_absolute():
        print(
            f"note: the files are outside the repository, so {CATALOG} names their folder as it is on this machine, "
            f"{entry['folder']}; to take them along, put them into local/ and run this again."
        )


def settings_of(arguments: Sequence[str]) -> dict[str, Any]:
    """Return `key=value` of --set as options of a format; a value is read as YAML reads it."""
    settings = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals or key not in OPTIONS:
            raise CatalogError(f"--set {argument}: need key=value, with a key of {', '.join(sorted(OPTIONS))}.")
        settings[key] = (
            value if key in ("prefix", "misc_key", "outside") or key.endswith("_field") else read_yaml(value)
        )
    return settings


def described(entry: dict[str, Any], options: Options, recognised: Recognised) -> dict[str, Any]:
    """Return the entry with the options' licence, citation and language; the language is guessed where no option names
    it.
    """
    answers = {key: getattr(options, key) for key in ("description", "license", "language") if getattr(options, key)}
    entry = {**entry, **answers} | ({"in_order": True} if options.in_order else {})
    if recognised.format.language:
        entry["language"] = recognised.format.language
    if entry["language"] == UNKNOWN:
        entry["language"] = language_of(recognised)
    return entry


def language_of(recognised: Recognised) -> str:
    """Return the language of the first documents, as their words tell it."""
    paths = next(paths for split, paths in recognised.files.items() if split != UNLABELLED)
    documents = read(paths, recognised.format)
    words = (token for document in documents for row in document.sentences for token in row.tokens)
    return guess_language(" ".join(islice(words, LOOKED_AT)))


def proposed(seen: "SeenData", file: YamlFile, options: Options) -> Iterator["Change"]:
    """Set what this data needs in the tree of params.yaml; a second delivery keeps the limits that there are."""
    from ner.data.onboarding.limits import Change, raised_limits
    from ner.data.onboarding.proposals import encoder_fit, floor_meaning, folds_change, gate_change, window_change
    from ner.data.onboarding.warnings import warnings
    from ner.data.prepared import pooled, read_split

    if options.base:
        resolve_encoder(options.base, read_catalog())
        file.tree["model"]["base"] = options.base
    params = check_params(read_yaml(file.after()))
    fit = encoder_fit(seen.prepared, BASE, params.model.base)
    if fit.measured:
        print(
            f"encoder: {params.model.base}, {fit.a_token:.2f} subwords a token, no sign for {fit.unknown:.2%} of them"
        )
    boundaries, is_second = seen.manifest["document_boundaries"], seen.old_profile is not None
    limits, findings = raised_limits(seen.measures, seen.profile, params, boundaries, options.accept, is_second)
    changes = [Change("data.source", seen.name, "the new data"), *window_change(fit, params), *limits]
    changes += gate_change(seen.profile["types"], params)
    counts = {split: own.entities() for split, own in seen.measures.items()}
    if not is_second or params.data.source != seen.name:
        pool = pooled(*(read_split(seen.prepared, split) for split in ("train", "validation")))
        changes += folds_change(counts["validation"].total(), pool, seen.manifest["labels"], params)
    for change in changes:
        block, key = change.key.split(".")
        if file.tree[block][key] != change.value:
            file.tree[block][key] = quoted(change.value)
            yield change
    params = check_params(read_yaml(file.after()))
    if params.split.folds:
        counts |= dict.fromkeys(("train", "validation"), counts["train"] + counts["validation"])
    print(floor_meaning(counts["validation"].total(), params), flush=True)
    for warning in warnings(fit, seen.manifest, seen.measures, counts, params):
        print(f"warning: {warning}", flush=True)
    for finding in findings:
        print(f"finding: {finding}", flush=True)


def finish(
    seen: "SeenData", catalog: YamlFile, params: YamlFile, changes: Sequence["Change"], is_dry_run: bool
) -> None:
    """Print the changes and write them."""
    path = profile_path(seen.name)
    if seen.old_profile is not None:
        lines = list(differences(seen.old_profile, seen.profile)) or ["nothing"]
        print(f"{path} stays; --new-profile replaces it; this delivery differs from it in:")
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


Text = str | None


def main(
    path: Annotated[Path, typer.Argument(help="A file or a folder.")],
    name: Annotated[Text, typer.Option(help="In catalog.yaml; by default the name of the file or folder.")] = None,
    format: Annotated[Text, typer.Option(help=f"Where it is not to be recognised: {', '.join(FORMATS)}.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="What is known of the format.")
    ] = None,
    language: Annotated[Text, typer.Option(help="Its code (pt, zh, ar); by default guessed from the words.")] = None,
    description: Annotated[Text, typer.Option(help="For the catalogue and the card.")] = None,
    license: Annotated[Text, typer.Option(help="For the catalogue and the card.")] = None,
    base: Annotated[Text, typer.Option(help="The encoder, for model.base.")] = None,
    in_order: Annotated[bool, typer.Option("--in-order", help="Sentences follow each other as in the text.")] = False,
    accept: Annotated[
        list[str] | None, typer.Option(metavar="LIMIT", help="Raise this limit of validation as far as the data needs.")
    ] = None,
    accept_losses: Annotated[bool, typer.Option("--accept-losses", help="--accept max_entities_not_kept.")] = False,
    new_profile: Annotated[bool, typer.Option("--new-profile", help="Hold later deliveries to this one.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Look and tell, write nothing.")] = False,
) -> None:
    """Enter new data in catalog.yaml and set params.yaml for it. Raises CorpusError, CatalogError and ParamsError."""
    if path == Path():
        raise ParamsError("name a file or a folder: ner new-data PATH, or make new-data FROM=path.")
    if format and format not in FORMATS:
        raise ParamsError(f"--format {format}: need one of {', '.join(FORMATS)}.")
    accepted = [name.removeprefix("validation.") for name in accept or ()] + ["max_entities_not_kept"] * accept_losses
    if unknown := set(accepted) - set(ValidationParams.model_fields):
        raise ParamsError(f"--accept {', '.join(unknown)}: need a limit of validation in {PARAMS}.")
    options = Options(
        name,
        format,
        settings or (),
        language,
        description,
        license,
        base,
        in_order,
        accepted,
        new_profile,
        dry_run,
    )
    new_data(path, options)
