"""MLflow runs: live curves of a training, scores, reports, and what they were made from."""
