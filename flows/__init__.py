"""Prefect flows: order, retries, logs, artifacts, deployments. The only room that knows Prefect."""
