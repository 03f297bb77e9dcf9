# `make help` lists what there is. Every target sets up what it needs first.
SHELL := /bin/bash
.DEFAULT_GOAL := help

JOBS ?= 2
PYTHON ?= python3
UV := uv==0.13.8
READY := .venv/.ready
REMOTES := .venv/.remotes
CLUSTER := .venv/.cluster
RUN := PATH="$(CURDIR)/.venv/bin:$$PATH"

.PHONY: help setup remotes cluster repro quick optimizers semi semi-full audit verify faults illnesses guarantees test test-long readme plots-page pdf lint bench compression serving requirements clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: $(PYTHON) is $$($(PYTHON) --version), expected 3.11 or newer: make PYTHON=python3.12 …" >&2; exit 2; }
	@echo "Setting up .venv (6 GB, a few minutes)" >&2
	@$(PYTHON) -m venv .venv
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check $(UV)
	@.venv/bin/uv pip install --quiet --python .venv/bin/python --compile-bytecode -r requirements.txt
	@.venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps -e .
	@touch $@

$(REMOTES): $(READY) requirements-remotes.txt
	@.venv/bin/uv pip install --quiet --python .venv/bin/python -r requirements-remotes.txt
	@touch $@

$(CLUSTER): $(READY) requirements-cluster.txt
	@.venv/bin/uv pip install --quiet --python .venv/bin/python -r requirements-cluster.txt
	@touch $@

setup: $(READY) ## make .venv with the pinned requirements

remotes: $(REMOTES) ## add to .venv what remotes on S3 and SSH need

cluster: $(CLUSTER) ## add to .venv what `pawprint fan-out` needs: Ray

repro: $(READY) ## run the pets study: JOBS trainings side by side, then the table
	@$(RUN) JOBS=$(JOBS) scripts/repro .

quick: $(READY) ## the two-minute tour: the digits study
	@$(RUN) JOBS=$(JOBS) scripts/repro studies/digits

optimizers: $(READY) ## run the optimization study, on digits; DATA=FOLDER: on Fashion-MNIST's files there
	@[ -z "$(DATA)" ] || { cd studies/optimizers && $(RUN) dvc exp run --quiet --force --name fashion_mnist \
	  -S data.source=fashion_mnist -S data.path=$(abspath $(DATA)) -S data.image_size=28 -S batch_size=256 resolve; }
	@$(RUN) JOBS=$(JOBS) scripts/repro studies/optimizers
	@cd studies/optimizers && $(RUN) python -m pawprint.epoch_time && $(RUN) pawprint report

semi: $(READY) ## run the semi-supervised study: ten drawn breeds, four labels of each
	@$(RUN) JOBS=$(JOBS) scripts/repro studies/semi

semi-full: $(READY) ## every ingredient of it in turn, in its place (studies/semi/params.full.yaml); writes docs/semi.md
	@cp studies/semi/params.full.yaml studies/semi/params.yaml
	@$(RUN) JOBS=$(JOBS) scripts/repro studies/semi
	@cd studies/semi && $(RUN) PYTHONPATH=$(CURDIR)/src python -m pawprint.readme --averages $(CURDIR)/docs/semi.md

audit: $(READY) ## test an inherited work in which faults are planted: `pawprint audit` finds them
	@$(RUN) pawprint audit examples/inherited/work.py || [ $$? -eq 1 ]

verify: $(READY) ## run the commit from scratch in a copy; every byte against dvc.lock (STUDY=studies/digits)
	@$(RUN) pawprint verify --jobs $(JOBS) $(or $(STUDY),.)

faults: $(READY) ## audit fifty planted faults and fifteen healthy works; writes docs/model-tests.md
	@$(RUN) PYTHONPATH=src OMP_NUM_THREADS=1 python -m tests.faults

illnesses: $(READY) ## diagnose planted illnesses and healthy trainings; writes docs/diagnostics.md
	@$(RUN) PYTHONPATH=src OMP_NUM_THREADS=1 python -m tests.illnesses

guarantees: $(REMOTES) ## try what docs/guarantees.md promises; writes its table (an hour)
	@$(RUN) PYTHONPATH=src OMP_NUM_THREADS=1 python -m tests.guarantees

test: $(READY) lint ## lint, types, imports, dependencies, tests
	@$(RUN) python -m pytest

test-long: $(REMOTES) $(CLUSTER) ## what takes longer
	@$(RUN) python -m pytest -m long

readme: $(READY) ## write the README's table from the graph's results
	@PYTHONPATH=src $(RUN) python -m pawprint.readme

plots-page: $(READY) ## write what `dvc plots` draws with: .dvc/plots/*.json and .dvc/plots.html
	@PYTHONPATH=src $(RUN) python -m pawprint.dvc_plots .dvc

lint: $(READY) ## ruff, mypy, import-linter, deptry
	@$(RUN) ruff check --quiet .
	@$(RUN) ruff format --check --quiet .
	@$(RUN) mypy --no-error-summary
	@said=$$(PYTHONPATH=src $(RUN) lint-imports --no-cache 2>&1) || { echo "$$said"; exit 1; }
	@said=$$($(RUN) deptry src 2>&1) || { echo "$$said"; exit 1; }

pdf: ## a study's report as PDF, by XeLaTeX, from what `report` left (STUDY=studies/digits): report.pdf
	@scripts/pdf $(or $(STUDY),.)

bench: $(READY) ## side-by-side ratios; writes the tables of docs/benchmarks.md (BENCH="step epoch" for some)
	@$(RUN) PYTHONPATH=src PYTHONWARNINGS="ignore:This DataLoader" python -m benchmarks --write $(BENCH)

compression: $(READY) ## smaller models' accuracy, robustness, size and speed as a table (STUDY=studies/digits)
	@cd $(or $(STUDY),.) && $(RUN) PYTHONPATH=$(CURDIR)/src:$(CURDIR) OMP_NUM_THREADS=1 python -m benchmarks.compression

serving: $(READY) ## measure the server under load; writes the tables of docs/serving.md
	@$(RUN) PYTHONPATH=src python -m benchmarks.serve

requirements: $(READY) ## resolve pyproject.toml into requirements*.txt anew
	@.venv/bin/uv pip compile pyproject.toml --extra dev --python-version 3.11 --universal \
	  --no-header --no-annotate --quiet --output-file requirements.txt
	@.venv/bin/uv pip compile pyproject.toml --extra remotes --constraint requirements.txt --python-version 3.11 \
	  --universal --no-header --no-annotate --quiet --output-file requirements-remotes.txt
	@.venv/bin/uv pip compile pyproject.toml --extra cluster --constraint requirements.txt --python-version 3.11 \
	  --universal --no-header --no-annotate --quiet --output-file requirements-cluster.txt

clean: ## remove what `make` can make again, but no results
	@rm -rf .venv .pytest_cache .ruff_cache .mypy_cache src/*.egg-info
