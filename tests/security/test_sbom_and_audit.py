"""The SBOM is the lock file, byte for byte the same each time; the audit without a network finds what a file tells."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ner.errors import NerError
from tasks.advisories import is_within, order, read_advisories
from tasks.audit import audit, sentence
from tasks.sbom import LOCK, SBOM, components, locked, write_sbom

ROOT = Path(__file__).resolve().parents[2]


def test_the_committed_sbom_is_of_the_lock_file():
    assert components(json.loads((ROOT / SBOM).read_text())) == locked(ROOT / LOCK), "run `make sbom`"


@pytest.mark.operations
def test_the_same_lock_file_gives_the_same_bytes(tmp_path):
    (tmp_path / LOCK).write_text("# exact\nrequests==2.34.2\nnumpy==2.4.6\n")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "1"\n')
    written = []
    for _ in range(2):
        assert write_sbom(tmp_path) == 2
        written.append((tmp_path / SBOM).read_bytes())
    assert written[0] == written[1] and b"timestamp" not in written[0] and b"serialNumber" not in written[0]


def test_a_lock_file_that_pins_nothing_is_named(tmp_path):
    (tmp_path / "lock").write_text("requests>=2\n")
    with pytest.raises(NerError, match=r"lock, line 1: 'requests>=2' names no version"):
        locked(tmp_path / "lock")


@pytest.mark.parametrize(
    ("events", "inside", "outside"),
    [
        ([{"introduced": "0"}, {"fixed": "2.0"}], ["0.0.1", "1.9", "2.0rc1"], ["2.0", "3"]),
        ([{"introduced": "1.1"}, {"last_affected": "1.3"}], ["1.1", "1.3"], ["1.0", "1.3.1"]),
        (
            [{"fixed": "1.2"}, {"introduced": "1"}, {"introduced": "2"}, {"fixed": "2.5"}],
            ["1.1", "2.4"],
            ["1.2", "2.5"],
        ),
        ([{"introduced": "1.10"}], ["1.10", "9"], ["1.9"]),
    ],
)
def test_versions_are_in_a_range_as_the_schema_of_osv_says(events, inside, outside):
    assert all(is_within(events, order(version)) for version in inside)
    assert not any(is_within(events, order(version)) for version in outside)


def advisory(name: str, **more: object) -> dict[str, object]:
    """One that we made up: real ones change, and none is needed to see that they are found."""
    affected = {"package": {"name": name, "ecosystem": "PyPI"}}
    affected |= more.pop("affected", {"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}]})  # type: ignore[operator]
    return {
        "id": f"TEST-{name}",
        "modified": "2026-01-02T00:00:00Z",
        "summary": "made up",
        "affected": [affected],
        **more,
    }


@pytest.fixture
def export(tmp_path) -> Path:
    """As osv.dev exports them: one JSON a file, in one zip."""
    fixed = {"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "3.0"}]}]}
    ours = [
        advisory("Requests", affected=fixed, aliases=["CVE-0000-1"]),
        advisory("numpy", affected={"versions": ["1.0"]}),
        advisory("pandas", withdrawn="2026-01-03T00:00:00Z"),
        advisory("scipy", affected={"ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}]}),
        advisory("of-somebody-else"),
    ]
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for one in ours:
            archive.writestr(f"{one['id']}.json", json.dumps(one))
    return tmp_path / "all.zip"


@pytest.mark.operations
def test_pip_audit_finds_in_a_file_what_concerns_the_lock_file_and_nothing_else(export, tmp_path):
    lock = tmp_path / "lock"
    lock.write_text("requests==2.34.2\nnumpy==2.4.6\npandas==3.1.1\nscipy==1.17.1\n")
    report = audit(lock, read_advisories(export, locked(lock)))
    assert [(one["name"], one["id"], one["fix_versions"]) for one in report["found"]] == [
        ("requests", "CVE-0000-1", ["3.0"])  # pip-audit names the CVE first
    ]
    assert "TEST-Requests" in report["found"][0]["aliases"]
    assert report["undecided"] == ["TEST-scipy"] and report["packages"] == 4
    assert sentence(report) == (
        "4 packages against 5 advisories, the newest of 2026-01-02: 1 known vulnerabilities: requests 2.34.2 "
        "(CVE-0000-1, fixed in 3.0); 1 name no versions"
    )


@pytest.mark.operations
def test_an_audit_that_cannot_ask_says_how_it_can(tmp_path):
    (tmp_path / LOCK).write_text("requests==2.34.2\n")
    seen = {"PATH": "", "PYTHONPATH": str(ROOT), "https_proxy": "http://127.0.0.1:9", "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "tasks.audit"], cwd=tmp_path, env=seen, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1 and "give it a file, make audit ADVISORIES=all.zip" in done.stderr


def test_what_is_no_advisory_is_named(tmp_path):
    (tmp_path / "a.json").write_text("[]")
    with pytest.raises(NerError, match=r"a\.json is no advisory in OSV's format"):
        read_advisories(tmp_path, ["requests"])
    with pytest.raises(NerError, match="holds no advisory"):
        read_advisories(_empty(tmp_path), ["requests"])


def _empty(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"
