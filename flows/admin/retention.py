"""What killed runs have left and nobody needs: shown, and with --apply removed, by params.yaml, retention.

Run     ner collect [--apply] [--json]
Reads   params.yaml
Writes  without --apply nothing

DVC's cache is cleaned by DVC: `dvc gc --all-commits --all-experiments` keeps what any commit or experiment names.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ner.admin.leftovers import Leftover, find_leftovers
from ner.common.files import read_params
from ner.common.lock import lock_checkout

DAY_S = 86400
SHOWN = 10  # the largest; --json has all


def is_old(left: Leftover, days: float | None) -> bool:
    """Return whether it may go. days: so old it must be; None keeps everything."""
    return days is not None and left.age_s > days * DAY_S


def remove(root: Path, leftovers: Sequence[Leftover]) -> None:
    """Remove files and folders of the checkout."""
    for left in leftovers:
        path = root / left.path
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def lines(going: Sequence[Leftover], staying: Sequence[Leftover], apply: bool) -> Iterator[str]:
    """Yield lines for a reader: what goes, the largest first, and what stays."""
    word = "gone" if apply else "goes"
    for left in sorted(going, key=lambda left: -left.size)[:SHOWN]:
        yield f"{word}   {_size([left]):>9}  {left.path}: {left.why}, {left.age_s / DAY_S:.0f} days old"
    if len(going) > SHOWN:
        yield f"{word}   {len(going) - SHOWN} more"
    if staying:
        yield f"stays  {_size(staying):>9}  {len(staying)} that are younger, or that params.yaml keeps"
    end = "." if apply or not going else "; `ner collect --apply` removes them."
    yield f"{len(going)} {'are gone' if apply else 'would go'}, {_size(going)}{end}"


def _size(leftovers: Sequence[Leftover]) -> str:
    size = sum(left.size for left in leftovers)
    return f"{size / 1e6:,.1f} MB" if size >= 1e5 else f"{size:,} B"


def main(
    apply: Annotated[bool, typer.Option("--apply", help="Remove it.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print every verdict as JSON.")] = False,
) -> None:
    """Print what may go, and with --apply remove it. Raises BusyError while a run works here."""
    root, days = Path.cwd(), read_params().retention.leftovers_days
    with lock_checkout(root, "run", "ner collect"):
        leftovers = find_leftovers(root)
        going = [left for left in leftovers if is_old(left, days)]
        if apply:
            remove(root, going)
    if as_json:
        rows = [{**asdict(left), "path": str(left.path), "goes": left in going} for left in leftovers]
        print(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        print("\n".join(lines(going, [left for left in leftovers if left not in going], apply)))
