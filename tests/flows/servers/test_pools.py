"""Deployments, pools and job templates against Prefect's own schemas, and on a real server with a worker."""

import json
import re
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest
import yaml
from prefect.cli.deploy._models import PrefectYamlModel
from prefect.utilities.schema_tools.validation import validate

from waiting import PATIENCE_S

ROOT = Path(__file__).resolve().parents[3]
FILES = ("prefect.yaml", "prefect.team.yaml")
TEMPLATES = "server/api/collections_data/views/aggregate-worker-metadata.json"  # of every kind of worker
DEPLOYMENTS = {
    f"{file}: {one['name']}": one
    for file in FILES
    for one in yaml.safe_load((ROOT / file).read_text(encoding="utf-8"))["deployments"]
}


@pytest.mark.parametrize("file", FILES)
def test_the_file_is_what_prefect_takes(file):
    tree = yaml.safe_load((ROOT / file).read_text(encoding="utf-8"))
    known = PrefectYamlModel.model_validate(tree)
    fields = set(type(known.deployments[0]).model_fields)
    assert [set(one) - fields for one in tree["deployments"]] == [set()] * len(tree["deployments"])


@pytest.mark.parametrize("one", DEPLOYMENTS.values(), ids=DEPLOYMENTS)
def test_its_flow_is_there_its_schedules_are_off_and_its_tags_bring_notices(one):
    path, _, name = one["entrypoint"].partition(":")
    assert re.search(rf"^def {name}\(", (ROOT / path).read_text(encoding="utf-8"), re.M)
    assert "ner" in one["tags"] and all(schedule["active"] is False for schedule in one.get("schedules", []))


def template(pool: str) -> dict:
    """Prefect's own job template for the workers of one of our pools."""
    kind = {"ner-docker": "docker", "ner-kubernetes": "kubernetes"}.get(pool, "process")
    collections = json.loads(files("prefect").joinpath(TEMPLATES).read_text(encoding="utf-8"))
    (worker,) = [workers[kind] for workers in collections.values() if kind in workers]
    return worker["default_base_job_configuration"]


@pytest.mark.parametrize("one", [one for one in DEPLOYMENTS.values() if one["work_pool"]["name"] != "ner"],
                         ids=lambda one: one["name"])  # fmt: skip
def test_job_variables_are_those_of_the_pools_template(one):
    variables = template(one["work_pool"]["name"])["variables"]
    given = one["work_pool"].get("job_variables", {})
    assert set(given) <= set(variables["properties"])
    validate(given, variables, raise_on_error=True)


def test_the_image_has_code_and_nothing_that_git_ignores():
    """What `COPY . .` takes, by .dockerignore, is what git has but for the tests."""
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split("\n")
    from_git = [line.strip("/") for line in (ROOT / ".gitignore").read_text(encoding="utf-8").split("\n")]
    folders = {line for line in from_git if line and "*" not in line and not line.startswith(("#", "reports", "!"))}
    assert folders - {line.removeprefix("**/") for line in ignored} == set()
    docker = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert "USER ner" in docker and "requirements.lock" in docker
    assert not re.search(r"(?i)password|token|secret_key", docker)


@pytest.mark.operations
def test_pools_and_deployments_on_a_server_and_a_run_in_the_workers_own_checkout(toy, outside, whole_server):
    for room in ("flows", "ner", "tasks"):
        (toy / room).symlink_to(ROOT / room, target_is_directory=True)
    shutil.copy(ROOT / "prefect.team.yaml", toy)
    seen = {**outside, "PREFECT_API_URL": whole_server, "PREFECT_HOME": str(toy.parent / "home")}

    def run(*arguments, **more):
        done = subprocess.run([sys.executable, "-m", *arguments], cwd=toy, env={**seen, **more}, capture_output=True,
                              text=True, timeout=PATIENCE_S)  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    text = (toy / "prefect.team.yaml").read_text(encoding="utf-8")
    commands = re.findall(r"prefect (work-pool create \S+ --type \S+|work-pool set-concurrency-limit \S+ \d+)", text)
    assert len(commands) == 5
    for command in commands:
        run("prefect", "--no-prompt", *command.split())
    run("prefect", "--no-prompt", "deploy", "--all", "--prefect-file", "prefect.team.yaml")
    run("prefect", "deployment", "run", "ner/train-process")
    run(
        "prefect", "worker", "start", "--pool", "ner-process", "--run-once", NER_CHECKOUT=str(toy), PYTHONPATH=str(ROOT)
    )
    assert json.loads((toy / "reports/registration.json").read_text())["version"] == 3
