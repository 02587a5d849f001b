"""A backup back into the stores of this checkout, or of the team, while nothing works on them.

Run     python -m flows.restore backups/monday.tar [--force]     (make restore FROM=… [FORCE=1])
Reads   the archive
Writes  what tasks/restore.py says
"""

import argparse
import os
from pathlib import Path

from flows.lock import hold
from tasks.backup import summary
from tasks.cli import run_stage
from tasks.restore import restore
from tasks.team import read_stores


def main() -> None:
    """Raises NerError: for the archive, a checkout at work, stores that are not empty, a difference afterwards."""
    parser = argparse.ArgumentParser(description="A backup back into empty stores.")
    parser.add_argument("archive", type=Path, help="what `make backup` has written")
    parser.add_argument("--force", action="store_true", help="also where something is")
    asked, root = parser.parse_args(), Path.cwd()
    with hold(root, "up", "restoring a backup"), hold(root, "run", "restoring a backup"):
        manifest = restore(root, read_stores(os.environ, root), asked.archive, asked.force, print)
    print(f"restored and compared: {summary(manifest)}")


if __name__ == "__main__":
    run_stage("restore", main)
