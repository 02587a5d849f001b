"""Work pools for processes, Docker and Kubernetes on a Prefect server, with job templates made of Prefect's own.

Run     python -m flows.pools [--only ner-kubernetes]      (on the server that PREFECT_API_URL names; again updates)
        python -m flows.pools --show ner-kubernetes        (its job template, no server needed)
Then    prefect --no-prompt deploy --all --prefect-file prefect.team.yaml
        prefect worker start --pool ner-gpu                (where its runs shall be)
"""

import argparse
import copy
import json
import os
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.exceptions import ObjectNotFound

from ner.errors import ParamsError
from tasks.cli import run_stage

Template = dict[str, Any]
TEMPLATES = "server/api/collections_data/views/aggregate-worker-metadata.json"  # in Prefect: of every kind of worker
GPUS = {
    "title": "GPUs",
    "description": "How many NVIDIA GPUs a run gets; needs NVIDIA's device plugin in the cluster.",
    "type": "integer",
    "minimum": 0,
    "default": 0,
}


@dataclass(frozen=True)
class Pool:
    """A work pool. limit: how many runs at once on all its workers; defaults: of its job template's variables."""

    name: str
    kind: str
    limit: int | None
    description: str
    defaults: dict[str, Any]


IMAGE = {"image": "ner-pipeline:latest", "image_pull_policy": "IfNotPresent"}
POOLS = (
    Pool("ner-process", "process", None, "Each worker in a checkout of its own", {}),
    Pool("ner-gpu", "process", 1, "Workers in a checkout on a machine with a GPU, one run at a time", {}),
    Pool("ner-docker", "docker", 2, "A container of the Dockerfile for each run", {**IMAGE, "auto_remove": True}),
    Pool("ner-kubernetes", "kubernetes", 4, "A job of the Dockerfile's image for each run",
         {**IMAGE, "cpu_request": "2", "memory_request": "6Gi", "memory_limit": "8Gi", "finished_job_ttl": 3600}),
)  # fmt: skip


def template(pool: Pool) -> Template:
    """Prefect's job template for workers of this kind, with our defaults; for Kubernetes with a number of GPUs."""
    made = copy.deepcopy(templates()[pool.kind])
    variables = made["variables"]["properties"]
    if pool.kind == "kubernetes":
        variables["gpus"] = dict(GPUS)
        (container,) = made["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]["containers"]
        container["resources"]["limits"]["nvidia.com/gpu"] = "{{ gpus }}"
    for name, value in pool.defaults.items():
        variables[name]["default"] = value
    return made


@cache
def templates() -> dict[str, Template]:
    """Prefect's own job template for each kind of worker, by kind; they come with Prefect, for all its integrations."""
    collections = json.loads(files("prefect").joinpath(TEMPLATES).read_text(encoding="utf-8"))
    return {
        kind: worker["default_base_job_configuration"]
        for workers in collections.values()
        for kind, worker in workers.items()
    }


def install(pools: list[Pool]) -> None:
    """Make each pool, or bring the one of that name up to date."""
    with get_client(sync_client=True) as client:
        for pool in pools:
            about = {"description": pool.description, "concurrency_limit": pool.limit}
            try:
                client.read_work_pool(pool.name)
            except ObjectNotFound:
                made = WorkPoolCreate(name=pool.name, type=pool.kind, base_job_template=template(pool), **about)
                client.create_work_pool(made)
            else:
                client.update_work_pool(pool.name, WorkPoolUpdate(base_job_template=template(pool), **about))
            print(f"work pool {pool.name} ({pool.kind}): {pool.description}", flush=True)


def find(name: str) -> Pool:
    """Raises ParamsError for a name that is not in POOLS."""
    known = {pool.name: pool for pool in POOLS}
    if name not in known:
        raise ParamsError(f"there is no work pool {name!r} in flows/pools.py: it has {', '.join(known)}.")
    return known[name]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m flows.pools", description="Make the work pools of a team.")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--only", metavar="POOL", action="append", help="this one, not all; may be given again")
    choice.add_argument("--show", metavar="POOL", help="print its job template as JSON")
    arguments = parser.parse_args()
    if arguments.show:
        print(json.dumps(template(find(arguments.show)), indent=2))
        return
    if not os.environ.get("PREFECT_API_URL"):
        raise ParamsError("PREFECT_API_URL is not set: the pools of a team are on its Prefect server.")
    install([find(name) for name in arguments.only] if arguments.only else list(POOLS))


if __name__ == "__main__":
    run_stage("pools", main)
