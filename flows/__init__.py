"""Prefect flows: order, retries, logs, artifacts, deployments. The only room that knows Prefect."""

import ner.common.cli  # noqa: F401  reads team.env, before Prefect reads its settings from the environment
