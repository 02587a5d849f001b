"""Deployments, pools and job templates against Prefect's own schemas, and on a real server with a worker."""

import copy
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from prefect.cli.deploy._models import PrefectYamlModel
from prefect.utilities.schema_tools.validation import is_valid_schema, validate
from prefect.utilities.templating import apply_values, find_placeholders

from flows.pools import POOLS, find, template, templates

ROOT = Path(__file__).resolve().parents[2]
FILES = ("prefect.yaml", "prefect.team.yaml")
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


@pytest.mark.parametrize("pool", POOLS, ids=lambda pool: pool.name)
def test_a_job_template_is_prefects_own_with_valid_defaults(pool):
    made = template(pool)
    is_valid_schema(made["variables"])
    asked = {p.name for p in find_placeholders(made["job_configuration"])}
    assert asked <= set(made["variables"]["properties"])
    values = {k: v["default"] for k, v in made["variables"]["properties"].items() if v.get("default") is not None}
    validate(values, made["variables"], raise_on_error=True)
    ours = copy.deepcopy(made)
    assert set(templates()[pool.kind]["variables"]["properties"]) <= set(ours["variables"]["properties"])


@pytest.mark.parametrize("one", [one for one in DEPLOYMENTS.values() if one["work_pool"]["name"] != "ner"],
                         ids=lambda one: one["name"])  # fmt: skip
def test_job_variables_are_those_of_the_pools_template(one):
    variables = template(find(one["work_pool"]["name"]))["variables"]
    given = one["work_pool"].get("job_variables", {})
    assert set(given) <= set(variables["properties"])
    validate(given, variables, raise_on_error=True)


def test_a_kubernetes_job_asks_for_as_many_gpus_as_its_deployment_says():
    made = template(find("ner-kubernetes"))
    defaults = {name: about.get("default") for name, about in made["variables"]["properties"].items()}
    given = DEPLOYMENTS["prefect.team.yaml: train-kubernetes-gpu"]["work_pool"]["job_variables"]
    job = apply_values(made["job_configuration"], {**defaults, **given})["job_manifest"]
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"] == {"memory": "8Gi", "nvidia.com/gpu": 1} | {
        k: None for k in ("cpu",) if k in container["resources"]["limits"]
    }
    assert container["image"] == "ner-pipeline:latest"


@pytest.mark.parametrize("kind, package, configuration", [
    ("docker", "prefect_docker.worker", "DockerWorkerJobConfiguration"),
    ("kubernetes", "prefect_kubernetes.worker", "KubernetesWorkerJobConfiguration"),
])  # fmt: skip
def test_the_worker_itself_takes_the_template(kind, package, configuration, request):
    import asyncio

    worker = pytest.importorskip(package, reason="installed where such a worker runs")
    request.getfixturevalue("server")  # it asks for variables of the job template
    (pool,) = [pool for pool in POOLS if pool.kind == kind]
    one = next(d for d in DEPLOYMENTS.values() if d["work_pool"]["name"] == pool.name)
    make = getattr(worker, configuration).from_template_and_values
    made = asyncio.run(make(template(pool), one["work_pool"]["job_variables"]))
    assert "ner-pipeline:latest" in json.dumps(made.model_dump(mode="json", exclude={"cluster_config"}))


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
                              text=True, timeout=240)  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    for _ in range(2):
        assert run("flows.pools").count("work pool") == len(POOLS)
    run("prefect", "--no-prompt", "deploy", "--all", "--prefect-file", "prefect.team.yaml")
    run("prefect", "deployment", "run", "ner/train-process")
    run(
        "prefect", "worker", "start", "--pool", "ner-process", "--run-once", NER_CHECKOUT=str(toy), PYTHONPATH=str(ROOT)
    )
    assert json.loads((toy / "reports/registration.json").read_text())["version"] == 3
