"""Settings of the team profile: one file or the environment, secrets where they are needed and nowhere else."""

import importlib.util
import json
import re
from pathlib import Path

import pytest
import yaml
from jsonschema.validators import validator_for

from flows.servers.settings import Ports, commands
from flows.servers.up import environments
from ner.common.stores import embedded, is_team, load_env_file, read_stores, shown
from ner.errors import ParamsError

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "team.env.example"
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SECRET = "s3cr3t"


def example() -> dict[str, str]:
    found: dict[str, str] = {"NER_TEAM_ENV": str(EXAMPLE)}
    load_env_file(found, ROOT)
    return {name: value.replace("PASSWORD", SECRET) for name, value in found.items() if name != "NER_TEAM_ENV"}


def test_the_example_is_a_whole_profile_without_secrets():
    stores = read_stores(example(), ROOT)
    assert stores.prefect.startswith("postgresql+asyncpg://") and stores.artifacts == "s3://ner/mlflow"
    assert example()["AWS_SECRET_ACCESS_KEY"] == "" and "s3cr3t" not in EXAMPLE.read_text()


def test_without_settings_the_stores_are_the_checkouts_own(tmp_path):
    assert read_stores({}, tmp_path) == embedded(tmp_path) and not is_team({"AWS_ENDPOINT_URL": "http://x"})


def test_the_environment_wins_over_the_file_and_an_empty_name_means_no_file(tmp_path):
    (tmp_path / "team.env").write_text("A=file # with $B\nB='from file'\n")
    found = {"A": "mine"}
    load_env_file(found, tmp_path)
    assert found == {"A": "mine", "B": "from file"}
    load_env_file(nothing := {"NER_TEAM_ENV": ""}, tmp_path)
    assert nothing == {"NER_TEAM_ENV": ""}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"MLFLOW_BACKEND_STORE_URI": ""}, "lacks MLFLOW_BACKEND_STORE_URI: set all of"),
        ({"MLFLOW_BACKEND_STORE_URI": "mysql://me:s3cr3t@h/m"}, r"is mysql://h/m, need postgresql\+psycopg2://"),
        ({"PREFECT_SERVER_DATABASE_CONNECTION_URL": "postgresql://me:s3cr3t@h/p"}, r"postgresql\+asyncpg://"),
        ({"MLFLOW_DEFAULT_ARTIFACT_ROOT": "/tmp/x"}, "need s3://bucket/folder"),
    ],
)
def test_half_a_profile_is_refused_without_a_word_of_its_secrets(changes, reason):
    with pytest.raises(ParamsError, match=reason) as told:
        read_stores(example() | changes, ROOT)
    assert SECRET not in str(told.value)


def test_only_the_server_that_needs_a_database_is_told_its_password(monkeypatch, tmp_path):
    for name, value in example().items():
        monkeypatch.setenv(name, value)
    lines = commands(tmp_path, Ports(4200, 5000))
    seen = environments(tmp_path, Ports(4200, 5000), lines)
    holders = {name for name, environment in seen.items() if SECRET in json.dumps(dict(environment))}
    assert holders == {"prefect", "mlflow"} and SECRET not in json.dumps(lines)
    assert "PREFECT_SERVER_DATABASE_CONNECTION_URL" not in seen["mlflow"]
    assert seen["worker"]["MLFLOW_DEFAULT_ARTIFACT_ROOT"] == seen["mlflow"]["MLFLOW_DEFAULT_ARTIFACT_ROOT"]


def test_an_address_is_shown_without_user_and_password():
    assert shown("postgresql+asyncpg://me:s3cr3t@h:1/d") == "postgresql+asyncpg://h:1/d"


def test_the_compose_file_starts_the_servers_as_make_up_does():
    for name in ("prefect", "mlflow"):
        ours = commands(ROOT, Ports(4200, 5000))[name].removeprefix("exec ").split()[1:]
        there = [*map(str, COMPOSE["services"][name]["command"])][1:]
        assert there == [word.replace("127.0.0.1", "0.0.0.0") for word in ours]  # in a network of their own
    assert set(example()) - {"AWS_MAX_ATTEMPTS"} <= {
        name for service in COMPOSE["services"].values() for name in service.get("environment", {})
    }


def test_the_compose_file_pins_images_publishes_on_loopback_and_takes_secrets_from_the_environment():
    text = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    images = {service["image"] for service in COMPOSE["services"].values()}
    assert images == {
        "ner-pipeline:local",
        "postgres:15.18-bookworm",
        "prom/prometheus:v3.5.0",
        "grafana/grafana:12.0.2",
    }
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]
    assert ports and all(port.startswith("127.0.0.1:") for port in ports)
    secrets = re.findall(r"(?:PASSWORD|SECRET_ACCESS_KEY): (.*)", text) + re.findall(r"//ner:([^@]*)@", text)
    assert len(secrets) == 5 and all(value.startswith("${NER_") for value in secrets)


def test_no_container_asks_another_one_through_a_proxy():
    names = set(COMPOSE["services"]) - {"bucket", "worker"}  # what listens
    for name in ("prefect", "mlflow", "bucket", "worker"):
        seen = COMPOSE["services"][name]["environment"]
        assert names <= set(seen["no_proxy"].partition("$")[0].split(",")) and seen["NO_PROXY"] == seen["no_proxy"]


def test_the_compose_file_is_what_the_compose_specification_allows():
    package = importlib.util.find_spec("check_jsonschema")  # which keeps the schema; nothing of it is imported
    if package is None:
        pytest.skip("no schema of compose files (PyPI package check-jsonschema)")
    schemas = Path(package.submodule_search_locations[0]) / "builtin_schemas" / "vendor"
    schema = json.loads((schemas / "compose-spec.json").read_text(encoding="utf-8"))
    assert [error.message for error in validator_for(schema)(schema).iter_errors(COMPOSE)] == []
