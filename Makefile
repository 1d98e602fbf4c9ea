# All that is needed is git, make and Python 3.10 to 3.13; `make help` lists what there is.

VENV ?= .venv
VENV_LOWEST ?= .venv-lowest
VENV_PEERS ?= .venv-peers
VENV_CONFORMANCE ?= .venv-conformance
VENV_DOCS ?= .venv-docs
PYTEST ?= -q -n 2 --dist loadfile# say, make test PYTEST='-q -x tests/losses'

# The environment's own Python, whatever else the caller's shell points at.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV
# TensorFlow's start-up notes.
export TF_CPP_MIN_LOG_LEVEL ?= 3

python = "$(VENV)/bin/python"

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test test-fast test-lowest conformance docs workers lint types format coverage venv peers papers clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

demo: venv ## a blend trained on real data, start to finish
	@"$(VENV)/bin/blendloss" demo

test: lint types ## lint, types and every test
	@$(python) -m pytest $(PYTEST)

test-fast: venv ## the quick tests, for use between edits
	@$(python) -m pytest $(PYTEST) -m "not slow"

test-lowest: ## every test on the oldest versions that are supported
	@.ci/venv "$(VENV_LOWEST)" lowest
	@"$(VENV_LOWEST)/bin/python" -m pytest $(PYTEST)

conformance: ## blendloss against TorchJD, live (a large download the first time)
	@.ci/venv "$(VENV_CONFORMANCE)" conformance
	@"$(VENV_CONFORMANCE)/bin/python" -m pytest -q tests/conformance

workers: venv ## two workers against one process, all cases, and kills; writes tests/workers/results.md
	@$(python) -m tests.workers

docs: ## the documentation as a site, docs/_build/html/index.html
	@.ci/venv "$(VENV_DOCS)" docs
	@rm -rf docs/_build docs/api
	@"$(VENV_DOCS)/bin/python" -m sphinx -q -W --keep-going -b html -d docs/_build/doctrees -c docs . docs/_build/html

lint: venv ## ruff: rules and format; import-linter: the order of imports
	@$(python) -m ruff check --quiet .
	@$(python) -m ruff format --check .
	@[ ! -x "$(VENV)/bin/lint-imports" ] || found=$$("$(VENV)/bin/lint-imports" --no-logo --no-cache) || { echo "$$found"; exit 1; }

types: venv ## mypy, strict; in tests, bodies
	@$(python) -m mypy

format: venv ## let ruff mend what it can
	@$(python) -m ruff check --quiet --fix .
	@$(python) -m ruff format --quiet .

coverage: venv ## every test, and which lines none of them ran
	@$(python) -m coverage run -m pytest $(PYTEST)
	@$(python) -m coverage report

venv: ## the environment, in .venv or VENV=...
	@.ci/venv "$(VENV)"

peers: ## torch, JAX and optax in an environment of their own, for `python -m benchmarks peers`
	@.ci/venv "$(VENV_PEERS)" peers

papers: venv ## every paper at its full size, two runs at a time (hours); a run that was stopped goes on
	@$(python) -m papers run all --jobs 2

clean: ## remove the environments and what the tools leave behind
	@for venv in "$(VENV)" "$(VENV_LOWEST)" "$(VENV_CONFORMANCE)" "$(VENV_DOCS)" "$(VENV_PEERS)"; do if [ -f "$$venv/pyvenv.cfg" ]; then rm -rf "$$venv"; fi; done
	@rm -rf build dist docs/_build docs/api *.egg-info .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find . -name .git -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
