"""Model versions in the MLflow registry: what is released, registered, compared and promoted."""
