# The pipeline in a container, for the work pools ner-docker and ner-kubernetes:
#   docker build --build-arg COMMIT=$(git rev-parse HEAD) -t ner-pipeline:latest .
# torch is the CUDA build, 6 GB in all; the CPU build, 3 GB, by --build-arg TORCH=cpu and, in PIP_EXTRA_INDEX_URL, its index.
# No data, no model, no secret is in it: results go to the DVC remote and the registry, addresses come by environment.
FROM python:3.11-slim-bookworm

RUN apt-get update && apt-get install -y --no-install-recommends git make && rm -rf /var/lib/apt/lists/*
WORKDIR /ner
COPY Makefile requirements.lock ./
ARG TORCH=cuda
ARG PIP_EXTRA_INDEX_URL
# outside the folder of the code, where a checkout may be mounted; make looks for it there by VENV
ENV VENV=/opt/ner PATH=/opt/ner/bin:$PATH
# prefect-docker and prefect-kubernetes are for the workers that start containers, not for what runs in them
RUN PIP_NO_CACHE_DIR=1 make env PYTHON=/usr/local/bin/python3
COPY . .

ARG COMMIT=unknown
# the repository itself is not in the image: the commit that a run names comes from the build
ENV NER_GIT_COMMIT=${COMMIT} NER_GIT_DIRTY=0 \
    PYTHONUNBUFFERED=1 PREFECT_LOGGING_SETTINGS_PATH=/ner/flows/runtime/json_log.yml DO_NOT_TRACK=1 DVC_NO_ANALYTICS=1 MLFLOW_DISABLE_TELEMETRY=true \
    PREFECT_SERVER_ANALYTICS_ENABLED=false
RUN dvc config --local core.no_scm true \
    && useradd --create-home --uid 1000 ner \
    && mkdir -p .dvc/cache checkpoints && chown -R ner:ner /ner
USER ner
CMD ["python", "-m", "ner", "train"]
