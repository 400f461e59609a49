PY := .venv/bin/python

help: ## what can be made
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

format: ## writes every file in the one style
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix-only -q .

check: ## format, lint, types, imports, shape
	$(PY) -m ruff format --check -q .
	$(PY) -m ruff check -q .
	$(PY) -m mypy
	PYTHONPATH=src .venv/bin/lint-imports --verbose 2>&1 | tail -20
	$(PY) -m pytest -q tests/architecture

.PHONY: help format check
