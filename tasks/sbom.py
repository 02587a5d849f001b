"""What the environment is made of, as a CycloneDX list of components, from requirements.lock by cyclonedx-py.

Run     python -m tasks.sbom        (make sbom)
Reads   requirements.lock, pyproject.toml
Writes  reports/sbom.json: the same lock file gives the same bytes, without a time or a random number
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from ner.errors import NerError
from tasks.cli import run_stage
from tasks.io import replacing_file

LOCK, PROJECT, SBOM = Path("requirements.lock"), Path("pyproject.toml"), Path("reports/sbom.json")
SCHEMA = "1.6"
QUIET = "ignore::UserWarning"  # a lock file does not say which package asks for which


def write_sbom(root: Path) -> int:
    """Write reports/sbom.json of a checkout; returns how many components it has. Raises NerError."""
    lock = locked(root / LOCK)
    with replacing_file(root / SBOM) as temporary:
        command = [sys.executable, "-W", QUIET, "-m", "cyclonedx_py", "requirements", "--output-reproducible"]
        command += ["--spec-version", SCHEMA, "--pyproject", str(root / PROJECT), "-o", str(temporary)]
        done = subprocess.run([*command, str(root / LOCK)], capture_output=True, text=True)
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["no word why"])[-1]
            raise NerError(f"cyclonedx-py ends with status {done.returncode}: {said[:200]}")
        sbom = json.loads(temporary.read_text(encoding="utf-8"))
        for component in sbom["components"]:
            component.pop("externalReferences", None)  # an index that the lock file does not name: a guess
        temporary.write_text(json.dumps(sbom, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        found = components(sbom)
        if found != lock:
            raise NerError(f"the SBOM is not {LOCK}: they differ in {', '.join(sorted(found.items() ^ lock.items()))}.")
    return len(found)


def components(sbom: dict[str, Any]) -> dict[str, str]:
    """Version by name."""
    return {one["name"].lower(): one["version"] for one in sbom["components"]}


def locked(path: Path) -> dict[str, str]:
    """Version by name, as the lock file has them. Raises NerError for a line that pins nothing."""
    found = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if requirement := line.partition("#")[0].partition(";")[0].strip():
            name, mark, version = requirement.partition("==")
            if not mark:
                raise NerError(f"{path}, line {number}: {requirement!r} names no version: write name==version.")
            found[name.strip().lower()] = version.strip()
    return found


def main() -> None:
    print(f"{SBOM}: {write_sbom(Path())} components, CycloneDX {SCHEMA}", flush=True)


if __name__ == "__main__":
    run_stage("sbom", main)
