# The pipeline in a container, for the work pools ner-docker and ner-kubernetes:
#   docker build --build-arg COMMIT=$(git rev-parse HEAD) -t ner-pipeline:latest .
# No data, no model, no secret is in it: results go to the DVC remote and the registry, addresses come by environment.
FROM python:3.11-slim-bookworm

RUN apt-get update && apt-get install -y --no-install-recommends git && rm -rf /var/lib/apt/lists/*
WORKDIR /ner
COPY requirements.lock ./
# prefect-docker and prefect-kubernetes are for the workers that start containers, not for what runs in them
RUN pip install --no-cache-dir --disable-pip-version-check -r requirements.lock
COPY . .

ARG COMMIT=unknown
# the repository itself is not in the image: the commit that a run names comes from the build
ENV NER_GIT_COMMIT=${COMMIT} NER_GIT_DIRTY=0 \
    PYTHONUNBUFFERED=1 NER_LOG_FORMAT=json DO_NOT_TRACK=1 DVC_NO_ANALYTICS=1 MLFLOW_DISABLE_TELEMETRY=true \
    PREFECT_SERVER_ANALYTICS_ENABLED=false
RUN dvc config --local core.no_scm true \
    && useradd --create-home --uid 1000 ner \
    && mkdir -p .dvc/cache checkpoints && chown -R ner:ner /ner
USER ner
CMD ["python", "-m", "flows.train"]
