# Two commands on a fresh machine: `make train` and `make test`. Everything else is listed by `make`.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
ENV := .venv/.installed
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PYTHONUNBUFFERED := 1

.DEFAULT_GOAL := help
.PHONY: help env new-data train quick card repro up compare serve predict bench probe annotate corrections sweep experiments history rollback resync faults accounts sbom audit doctor collect move-to-team backup restore monitor drift-simulation test test-operations test-fast check clean

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /  make \1|/' | column -t -s '|'

env: $(ENV)  ## make the environment in .venv from requirements.lock

$(ENV): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
		{ echo "make: Python 3.11 is needed and $(PYTHON) is another; run make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@test ! -L .venv || { echo "make: .venv is a link, and what it points to would be emptied: remove the link" >&2; exit 1; }
	$(PYTHON) -m venv --clear .venv
	.venv/bin/pip install --disable-pip-version-check --progress-bar off -q --no-compile -r requirements.lock
	@# pip compiles on one core; a file that is no Python of this version (a template) is none that anything imports
	@.venv/bin/python -m compileall -q -j 0 .venv/lib >/dev/null 2>&1 || true
	@touch $@

new-data: $(ENV)  ## your own data: look at it, enter it in catalog.yaml, set params.yaml: make new-data FROM=path [NAME=name] [ARGS=...]
	@python -m tasks.new_data --from="$$FROM" $(if $(NAME),--name="$$NAME") $(ARGS)

train: $(ENV)  ## the main job: corpus and encoder to a gated, registered model (flow `ner`, parameters of params.yaml)
	@python -m flows.train

quick: $(ENV)  ## the same with the small encoder, in minutes; its gate fails honestly under the threshold
	@python -m flows.train --set model.base=all-minilm-l6-v2 --set train.learning_rate=3.0e-4 --set train.dropped_layers=0

card: $(ENV)  ## the public card's own recipe: distilbert-base-uncased on single sentences (needs a model hub)
	@python -m flows.train --set model.base=distilbert-base-uncased --set encoding.context=sentence \
		--set encoding.max_length=512 --set encoding.case=as_encoder --set train.epochs=3 --set train.learning_rate=2.0e-5 \
		--set train.new_learning_rate=same --set train.batch_by=windows --set train.batch_size=16 --set train.warmup=0.0 \
		--set train.weight_decay=0.0 --set train.dropout=encoder --set train.dropped_layers=0 \
		--set train.frozen_embeddings=false --set train.precision=fp32

repro: $(ENV)  ## the same stages without Prefect: dvc repro
	@dvc repro

up: $(ENV)  ## Prefect server, MLflow server, a worker and the watch of promotions here; deploys; Ctrl-C stops all
	@python -m flows.up

compare: $(ENV)  ## challenger against champion: which is better, by how much, the sentences that only one gets right
	@python -m tasks.compare

serve: $(ENV)  ## the champion over HTTP, with a page to try it: make serve, or make serve MODEL=ner/1
	@python -m flows.serve $(if $(MODEL),--model "$$MODEL")

predict: $(ENV)  ## entities of many texts: make predict INPUT=texts.jsonl OUTPUT=entities.parquet [MODEL=ner/1] [CLUSTER=local:4]
	@python -m tasks.batch --input="$$INPUT" --output="$$OUTPUT" $(if $(MODEL),--model="$$MODEL") \
		$(if $(CLUSTER),--cluster="$$CLUSTER") $(ARGS)

monitor: $(ENV)  ## are the texts that the champion reads like those that it was validated on? make monitor [MODEL=ner/1] [ARGS="--last 500"]
	@python -m tasks.monitor $(if $(MODEL),--model="$$MODEL") $(ARGS)

drift-simulation: $(ENV)  ## false alarms and detections of make monitor on real text, by the trained model: reports/drift.json
	@python -m tasks.monitor_simulation

annotate: $(ENV)  ## documents to annotate next: make annotate OUTPUT=tasks.json [TO=doccano] [N=50] [FROM=train] [BY=contradiction]
	@python -m tasks.annotate --output="$$OUTPUT" $(if $(TO),--to="$$TO") $(if $(N),--number="$$N") \
		$(if $(FROM),--from="$$FROM") $(if $(BY),--by="$$BY") $(if $(MODEL),--model="$$MODEL")

corrections: $(ENV)  ## annotated tasks back into the corpus: make corrections FROM=export.json OUTPUT=local/corrected
	@python -m tasks.corrections --from="$$FROM" --output="$$OUTPUT"

sweep: $(ENV)  ## search for better numbers (params.yaml, sweep); goes on where it was stopped; make sweep APPLY=1 takes them over
	@python -m tasks.sweep $(if $(APPLY),--apply) $(ARGS)

experiments: $(ENV)  ## the ideas of experiments.yaml against its baseline, on validation: make experiments [ONLY=name] [COSTS=1] [APPLY=name]
	@python -m tasks.experiments $(if $(ONLY),--only="$$ONLY") $(if $(APPLY),--apply="$$APPLY") $(if $(COSTS),--costs)

bench: $(ENV)  ## how fast prediction, training, evaluation and pipeline are, as ratios, on an idle machine: make bench [ONLY=training]
	@cd bench && dvc repro --force --keep-going $(ONLY)

probe: $(ENV)  ## the batch that this machine trains fastest with, within its memory: make probe; APPLY=1 writes params.yaml
	@python -m tasks.probe $(if $(APPLY),--apply) $(ARGS)

history: $(ENV)  ## who was champion when, which checks passed, who went back and why
	@python -m tasks.promotion --history

rollback: $(ENV)  ## put the alias champion back on the last good version: make rollback REASON="why"
	@python -m tasks.promotion --rollback="$$REASON"

resync: $(ENV)  ## tell MLflow what runs could not tell it while it was away
	@python -m tasks.resync

faults: $(ENV)  ## break everything on purpose and write docs/faults.md: processes killed, disks filled, servers gone (half an hour)
	@rm -f .ner/faults.jsonl && mkdir -p .ner
	@NER_FAULTS="$(CURDIR)/.ner/faults.jsonl" python -m pytest tests/faults "tests/flows/test_sharing.py::test_two_runs_at_the_same_time_compute_nothing_twice_but_what_asks_their_own_registry"; python tests/faults/table.py .ner/faults.jsonl

accounts: $(ENV)  ## accounts of the MLflow server with authentication: make accounts NAME=anna ROLE=reader (or editor, admin)
	@python -m flows.accounts "$$ROLE" "$$NAME"

sbom: $(ENV)  ## reports/sbom.json: the components of requirements.lock, as CycloneDX
	@python -m tasks.sbom

audit: $(ENV)  ## known vulnerabilities of requirements.lock: make audit, or without a network make audit ADVISORIES=all.zip
	@python -m tasks.audit $(if $(ADVISORIES),--advisories="$$ADVISORIES")

doctor: $(ENV)  ## is everything in order for a run: versions, disk, ports, servers, DVC, registry, GPU; ARGS=--json
	@python -m flows.doctor $(ARGS)

collect: $(ENV)  ## what takes room and is needed by nothing (params.yaml, retention): make collect shows it, APPLY=1 removes it
	@python -m flows.retention $(if $(APPLY),--apply) $(ARGS)

move-to-team: $(ENV)  ## runs, versions, artifacts and flow history of this checkout into the stores of team.env (docs/team.md)
	@python -m flows.move

backup: $(ENV)  ## registry and flow history into one archive, while servers run: make backup [TO=file.tar]
	@python -m tasks.backup $(if $(TO),--to="$$TO")

restore: $(ENV)  ## a backup back into empty stores, compared afterwards: make restore FROM=file.tar [FORCE=1]
	@python -m flows.restore "$$FROM" $(if $(FORCE),--force)

test: $(ENV)  ## every test but those of operations, in two processes
	@python -m pytest -n 2 --dist loadfile -m "not operations"

test-operations: $(ENV)  ## real databases, stores and servers, whole commands, processes killed, disks full
	@python -m pytest -n 2 --dist loadfile -m operations

test-fast: $(ENV)  ## the tests that take under 30 s each
	@python -m pytest -n 2 --dist loadfile -m "not slow and not operations"

check: $(ENV)  ## lint and the fast tests
	@ruff check . && ruff format --check . && python -m pytest -n 2 --dist loadfile -m "not slow and not operations"

clean:  ## remove checkpoints of killed runs, workspaces and caches of tools; keeps data, models, reports, .dvc/cache, mlflow/data
	@rm -rf checkpoints .ner/workspaces .pytest_cache .ruff_cache .hypothesis
