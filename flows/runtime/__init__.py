"""How a flow runs the stages: workspace, DVC, logs, artifacts."""
