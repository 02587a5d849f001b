# Two commands on a fresh machine: `make train` and `make test`. `make` lists what is about the checkout, `ner` all else.
SHELL := bash
VENV ?= .venv
FITS = import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))
PYTHON ?= $(shell for one in python3 python3.13 python3.12 python3.11 python3.14; do \
	$$one -c '$(FITS)' 2>/dev/null && command -v $$one && break; done)
UV ?= $(shell command -v uv)
ENV := $(VENV)/.installed
DEV := $(VENV)/.installed-dev
# macOS has one build; elsewhere, unset, the CPU build is taken where no NVIDIA GPU answers and an index offers it. It is the
# one file without a hash: it is not on PyPI, and each index of it may have built its own
TORCH ?= $(if $(filter Darwin,$(shell uname))$(shell nvidia-smi -L 2>/dev/null | grep ^GPU),cuda)
ifneq ($(UV),)
INSTALL = $(UV) pip install --python $(VENV)/bin/python --no-deps --quiet
else
INSTALL = $(VENV)/bin/python -m pip install --disable-pip-version-check --progress-bar off --no-deps --quiet --no-compile
endif
GET_PYTHON := uv python install 3.13, brew install python@3.13, pyenv install 3.13, or apt install python3-venv
# pip compiles on one core, uv not at all; a file that is no Python of this version (a template) is none that we import
COMPILE = $(VENV)/bin/python -m compileall -q -j 0 $(VENV)/lib >/dev/null 2>&1 || true
# names and versions of a lock file, those for other systems too, without their hashes
PINS := sed -nE 's/^([a-z0-9.-]+==[^ ;]+).*/\1/p'
LOCK = $(UV) pip compile pyproject.toml --quiet --universal --python-version=3.11 --generate-hashes \
	--no-annotate --no-emit-index-url --no-emit-find-links --custom-compile-command="make lock"
# .venv/bin/ner: several checkouts may share an environment, so that it is no package of one of them
define NER_SCRIPT
#!/bin/sh
# Runs the code of the checkout that the current folder belongs to; written by `make env`.
root=$$PWD
until test -f "$$root/ner/__main__.py"; do
	test "$$root" != / || { echo "ner: $$PWD is in no checkout of the pipeline: go to the folder of one." >&2; exit 1; }
	root=$$(dirname "$$root")
done
python=$$(cd "$$(dirname "$$0")" && pwd)/python
test "$$root" = "$$PWD" || echo "ner: paths are from $$root" >&2
test -z "$$PYTHONSAFEPATH" || echo "ner: works without PYTHONSAFEPATH, which hides the checkout from Python; unset it for dvc" >&2
unset PYTHONSAFEPATH
cd "$$root" && exec "$$python" -m ner "$$@"
endef
export NER_SCRIPT
unexport PYTHONSAFEPATH
export PATH := $(abspath $(VENV))/bin:$(PATH)
export PYTHONUNBUFFERED := 1

.DEFAULT_GOAL := help
.PHONY: help env dev lock new-data train quick card learning-curve repro up serve bench experiments faults sbom audit test test-operations test-fast check check-docs freeze clean

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /  make \1|/' | column -t -s '|'
	@echo "  ner --help            every other command: compare, serve, batch, monitor, annotate, back up … (. $(VENV)/bin/activate)"

env: $(ENV)  ## the environment in .venv, from requirements.lock: make env, or with that build of torch TORCH=cpu or TORCH=cuda

dev: $(DEV)  ## the same, and what tests and lint need (requirements-dev.lock)

$(ENV): requirements.lock
	@python="$(PYTHON)"; test -n "$(UV)" -a -z "$$python" || "$${python:-false}" -c '$(FITS)' 2>/dev/null || { echo "make: \
	$${python:-no Python here} is not of 3.11 to 3.14: name one, make PYTHON=/path/to/python3.13, or get one: $(GET_PYTHON)" >&2; exit 1; }
	@test ! -L $(VENV) || { echo "make: $(VENV) is a link, and what it points to would be emptied: remove the link" >&2; exit 1; }
	@df -Pk . | awk 'NR == 2 && $$4 < 5e6 { printf "make: %.1f GB are free here, and 5 GB are needed: make room\n", $$4 / 1e6; exit 1 }' >&2
	$(if $(UV),$(UV) venv --quiet --clear --python "$(or $(PYTHON),3.13)",$(PYTHON) -m venv --clear) $(VENV)
	@cpu=$$(sed -nE 's/^(torch==[^ ]+).*/\1+cpu/p' requirements.lock); all=; \
	if test "$(TORCH)" = cuda; then all=1; \
	elif ! { $(INSTALL) "$$cpu" $(if $(UV),|| $(INSTALL) --torch-backend=cpu "$$cpu"); } 2>$(VENV)/torch.log; then all=1; \
		if test "$(TORCH)" = cpu; then cat $(VENV)/torch.log >&2; echo "make: no index that is set has $$cpu: name one \
	in $(if $(UV),UV_INDEX,PIP_EXTRA_INDEX_URL) (PyTorch's own has it; uv asks there by itself)" >&2; exit 1; fi; fi; \
	awk -v all=$$all '/^[^ ]/ { left_out = /^(torch|triton|cuda-|nvidia-)/ && !/^nvidia-ml-py==/ } all || !left_out' requirements.lock >$(VENV)/requirements.txt
	$(INSTALL) --require-hashes -r $(VENV)/requirements.txt
	@$(COMPILE)
	@echo "$$NER_SCRIPT" >$(VENV)/bin/ner && chmod +x $(VENV)/bin/ner
	@touch $@

$(DEV): $(ENV) requirements-dev.lock
	$(INSTALL) --require-hashes -r requirements-dev.lock
	@$(COMPILE)
	@touch $@

lock:  ## requirements.lock and requirements-dev.lock anew after a change of pyproject.toml, by uv: pins stay; make lock ARGS=--upgrade
	@test -n "$(UV)" || { echo "make: uv is needed for it: pip install uv" >&2; exit 1; }
	@$(LOCK) $(ARGS) --output-file=requirements.lock
	@$(LOCK) $(ARGS) --output-file=requirements-dev.lock --extra=dev --constraint=requirements.lock
	@# without what requirements.lock has for the same Pythons and systems
	@awk 'NR == FNR { has[$$0]; next } /^[^ #]/ { skip = $$0 in has } !skip' requirements.lock requirements-dev.lock >requirements-dev.new
	@mv requirements-dev.new requirements-dev.lock

new-data: $(ENV)  ## your own data: look at it, enter it in catalog.yaml, set params.yaml: make new-data FROM=path [NAME=name] [ARGS=...]
	@python -m ner new-data "$$FROM" $(if $(NAME),--name="$$NAME") $(ARGS)

train: $(ENV)  ## the main job: corpus and encoder to a gated, registered model (flow `ner`, parameters of params.yaml)
	@python -m ner train

quick: $(ENV)  ## the same with the small encoder, in minutes; its gate fails honestly under the threshold
	@python -m ner train --quick

card: $(ENV)  ## the public card's own recipe: distilbert-base-uncased on single sentences (needs a model hub)
	@python -m ner train --card

learning-curve: $(ENV)  ## how much more annotation is worth: trainings on 1/8, 1/4, 1/2 and all documents, and their curve
	@python -m dvc repro --quiet base validate && python -m ner learning-curve

repro: $(ENV)  ## the same stages without Prefect: dvc repro, then the gate's verdict as exit status
	@python -m dvc repro && python -m ner verdict

up: $(ENV)  ## Prefect server, MLflow server, a worker and the watch of promotions here; deploys; Ctrl-C stops all
	@python -m ner up

serve: $(ENV)  ## the champion over HTTP, with a page to try it: make serve [MODEL=ner/1] [SHADOW=ner@challenger] [CANARY=0.1]
	@python -m ner serve $(if $(MODEL),--model="$(MODEL)") $(if $(SHADOW),--shadow="$(SHADOW)") $(if $(CANARY),--canary="$(CANARY)")

bench: $(ENV)  ## how fast prediction, training and serving are, as ratios, on an idle machine: make bench [ONLY=training]
	@cd bench && python -m dvc repro --force --keep-going $(ONLY)

experiments: $(ENV)  ## what the recipe makes of the first 20, 80 and 240 documents, beside a plain Trainer script; goes on where it was stopped (hours)
	@for n in 20 80 240; do python -m ner.bench.small_corpora --train $$n --validation 40 --test 60 $(ARGS) || exit 1; done

faults: $(DEV)  ## break everything on purpose: processes killed, disks filled, servers gone (half an hour)
	@NER_FAULTS=1 python -m pytest -n 0 tests/faults

sbom: $(DEV)  ## reports/sbom.json: the components of requirements.lock, as CycloneDX
	@set -o pipefail; $(PINS) requirements.lock | python -W ignore -m cyclonedx_py requirements --output-reproducible \
		--pyproject pyproject.toml - | sed '/"externalReferences"/,/\],/d; /"description": "requirements line/d' >reports/sbom.json

audit: $(DEV)  ## known vulnerabilities of both lock files, asked of osv.dev by pip-audit
	@python -m pip_audit --vulnerability-service osv --no-deps --disable-pip $(ARGS) \
		--requirement <($(PINS) requirements.lock requirements-dev.lock | sort -u -t= -k1,1)  # pip-audit takes one version of a name

test: $(DEV)  ## every test but those of operations, in two processes
	@python -m pytest -n 2 --dist loadfile -m "not operations"

test-operations: $(DEV)  ## real databases, stores and servers, whole commands, processes killed, disks full
	@python -m pytest -n 2 --dist loadfile -m operations

test-fast: $(DEV)  ## the tests that take under 30 s each
	@python -m pytest -n 2 --dist loadfile -m "not slow and not operations"

check: $(DEV)  ## lint, layers, types and the fast tests
	@python -m ruff check . && python -m ruff format --check . && lint-imports && mypy && python -m pytest -n 2 --dist loadfile -m "not slow and not operations"

check-docs: $(DEV)  ## of a clean checkout: what documents quote, lock files, reports and code are of one run
	@python -m pytest -q docs/checks

.PHONY: docs docs-serve
docs: $(DEV)  ## the documentation as a site in site/, every link checked
	@NO_MKDOCS_2_WARNING=1 python -m mkdocs build --quiet

docs-serve: $(DEV)  ## the documentation at http://127.0.0.1:8000, rebuilt at every change
	@NO_MKDOCS_2_WARNING=1 python -m mkdocs serve

freeze: $(ENV)  ## copies of reports and parameters that documents and tests are held against, after a new main run
	@python -m docs.checks.freeze

clean:  ## remove checkpoints, workspaces and half-written files of killed runs, and caches of tools; keeps data, models, reports, .dvc/cache, mlflow/data
	@rm -rf checkpoints .ner/workspaces .pytest_cache .ruff_cache .hypothesis
	@find data models reports mlflow/data -maxdepth 2 -name '.*.tmp' -prune -exec rm -rf {} + 2>/dev/null || true
