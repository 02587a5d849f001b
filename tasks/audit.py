"""Known vulnerabilities of the packages in requirements.lock, by pip-audit, with a network or from a file.

Run     python -m tasks.audit                          (asks osv.dev; make audit)
        python -m tasks.audit --advisories all.zip     (no network: osv.dev's export for PyPI, or a folder of it)
Reads   requirements.lock
Writes  reports/audit.json

Ends with status 7 where a package has a known vulnerability. An audit knows what is in its source and in the lock file:
not what nobody reported, not the Python that runs it, not the libraries in C that are inside of a wheel.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from ner.errors import NerError
from tasks.advisories import Advisories, read_advisories
from tasks.cli import fail, run_stage
from tasks.io import write_json
from tasks.sbom import LOCK, locked

REPORT = Path("reports/audit.json")
VULNERABLE = 7  # exit status
WITHIN_S = 600


def audit(lock: Path, advisories: Advisories | None) -> dict[str, Any]:
    """What audit.json holds. Raises NerError where pip-audit cannot ask, or does not look at every package."""
    pinned = locked(lock)
    with osv(advisories) if advisories else nullcontext("") as url, tempfile.TemporaryDirectory() as cache:
        where = ["--osv-url", url] if url else []
        command = [sys.executable, "-m", "pip_audit", "--requirement", str(lock), "--no-deps", "--disable-pip"]
        command += ["--vulnerability-service", "osv", *where, "--format", "json", "--progress-spinner", "off"]
        command += ["--cache-dir", cache]
        done = subprocess.run(command, capture_output=True, text=True, timeout=WITHIN_S)
    try:
        seen = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        raise NerError(
            f"pip-audit could not ask ({(done.stderr.strip().splitlines() or ['no word why'])[-1][:200]}): without a "
            "network give it a file, make audit ADVISORIES=all.zip."
        ) from None
    skipped = sorted(one["name"] for one in seen if "skip_reason" in one)
    if len(seen) != len(pinned) or skipped:
        raise NerError(f"pip-audit looked at {len(seen) - len(skipped)} of {len(pinned)} packages of {lock}.")
    return {
        "source": "a file of advisories" if advisories else "osv.dev",
        "advisories": advisories.count if advisories else None,
        "newest": advisories.newest if advisories else None,
        "undecided": advisories.undecided if advisories else [],
        "packages": len(seen),
        "found": [
            {
                "name": one["name"],
                "version": one["version"],
                **{key: each[key] for key in ("id", "aliases", "fix_versions")},
            }
            for one in seen
            for each in one["vulns"]
        ],
    }


@contextmanager
def osv(advisories: Advisories) -> Iterator[str]:
    """A stand-in for osv.dev's query on this machine alone, which pip-audit asks; gives its address."""

    class Query(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found = advisories.of(asked["package"]["name"], asked["version"])
            body = json.dumps({"vulns": found} if found else {}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Query) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1/query"
        finally:
            server.shutdown()


def sentence(report: dict[str, Any]) -> str:
    """What was found, in a line."""
    of = (
        f" against {report['advisories']:,} advisories, the newest of {report['newest'][:10]}"
        if report["advisories"]
        else ""
    )
    undecided = f"; {len(report['undecided'])} name no versions" if report["undecided"] else ""
    if not report["found"]:
        return f"{report['packages']} packages{of}: no known vulnerability{undecided}"
    named = [
        f"{one['name']} {one['version']} ({one['id']}, fixed in {' or '.join(one['fix_versions']) or 'no version'})"
        for one in report["found"]
    ]
    return f"{report['packages']} packages{of}: {len(named)} known vulnerabilities: {', '.join(named)}{undecided}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tasks.audit", description="Known vulnerabilities of packages.")
    parser.add_argument("--advisories", type=Path, metavar="FILE", help="all.zip of osv.dev, or a folder of it")
    path = parser.parse_args().advisories
    report = audit(LOCK, read_advisories(path, locked(LOCK)) if path else None)
    write_json(REPORT, report)
    if report["found"]:
        fail("audit", f"{sentence(report)}.", VULNERABLE)
    print(sentence(report), flush=True)


if __name__ == "__main__":
    run_stage("audit", main)
