# The commands of this repository. Each sets up what it needs first (scripts/setup.sh), so that two of them are enough:
# `make run` and `make test`. ARGS reaches the program: make run ARGS="--port 9000", make test ARGS="-k ledger".

export PATH := $(CURDIR)/.venv/bin:$(PATH)
PY := .venv/bin/python

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## sets everything up and starts the gateway on 127.0.0.1:8000
	@scripts/setup.sh run
	@exec $(PY) -m foz serve $(ARGS)

test: ## sets everything up and runs every check and every test
	@scripts/setup.sh test
	@$(MAKE) --no-print-directory gates
	@$(PY) -m pytest $(ARGS)

check: ## format, lint, types, imports, shape
	@scripts/setup.sh dev
	@$(MAKE) --no-print-directory gates
	@$(PY) -m pytest -q tests/architecture

gates:
	$(PY) -m ruff format --check --quiet .
	$(PY) -m ruff check --quiet .
	$(PY) -m mypy
	shellcheck scripts/*.sh .ci/run
	PYTHONPATH=src lint-imports

format: ## writes every file in the one style
	@scripts/setup.sh dev
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix-only --quiet .

bench: ## measures against nginx and LiteLLM, writes bench/results/
	@scripts/setup.sh dev
	@$(PY) -m bench $(ARGS)

soak: ## the long runs: 200 kills, memory over 150,000 requests
	@scripts/setup.sh test
	@$(PY) -m pytest -m soak $(ARGS)

docs: ## writes what is generated in docs/ and README.md
	@scripts/setup.sh dev
	@PYTHONPATH=src:. $(PY) scripts/docs.py $(ARGS)

prices: ## writes src/foz/ledger/prices.json from the package genai-prices
	@scripts/setup.sh dev
	@PYTHONPATH=src:. $(PY) scripts/prices.py $(ARGS)

proto: ## writes the Python code of proto/model.proto
	@scripts/setup.sh dev
	@PYTHONPATH=src:. $(PY) scripts/proto.py $(ARGS)

tiny: ## trains foz-tiny anew, a quarter of an hour; ARGS=--try tells what it answers
	@scripts/setup.sh dev
	@OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MALLOC_MMAP_THRESHOLD_=1073741824 MALLOC_TRIM_THRESHOLD_=4294967296 \
		PYTHONPATH=src:. $(PY) -m scripts.tiny $(ARGS)

lock: ## writes requirements/*.lock anew; ARGS=--upgrade takes the newest versions
	@scripts/setup.sh dev
	@scripts/lock.sh $(ARGS)
	@npm --prefix tests/node install --package-lock-only --silent

clean: ## removes what the others made, but never data/
	rm -rf .venv .make bench/.work tests/node/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help run test check gates format bench soak docs prices proto tiny lock clean
