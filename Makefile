# Each command sets up what it needs, only once, and is safe to call again.
PYTHON ?= python3
PORT ?= 8000
DATA ?=
TESTS ?=

export PYTHON
# albumentations looks for a newer version of itself on the network when it is imported.
export NO_ALBUMENTATIONS_UPDATE := 1

# Keyed on the contents, because a checkout touches the files' dates.
PINS := $(shell cat pyproject.toml constraints.txt | cksum | cut -d ' ' -f 1)
DEV := .venv/.ready-$(PINS)
SERVE := .venv-serve/.ready-$(PINS)

.DEFAULT_GOAL := help
.PHONY: help venv serve test check bench

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-7s %s\n", $$1, $$2}' Makefile

venv: $(DEV) ## .venv with everything for training and development

serve: $(SERVE) ## the server and its page at http://127.0.0.1:8000 (PORT=…), without torch
	@.venv-serve/bin/translate-serve --port $(PORT)

test: $(DEV) $(SERVE) ## all tests (TESTS="tests/runtime -k tiles" for some)
	SERVE_VENV=.venv-serve .venv/bin/python -m pytest $(TESTS)

check: $(DEV) ## lint, format, types, who imports whom
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy translate server bench
	.venv/bin/lint-imports

bench: $(DEV) ## restoration against what people can do without it (DATA=folder of photographs)
	@test -n "$(DATA)" || { echo "Name a folder of photographs: make bench DATA=folder" >&2; exit 1; }
	.venv/bin/python -m bench.restoration --data "$(DATA)"

$(DEV):
	@scripts/venv .venv '.[train,heif,otel,dev]'
	@rm -f .venv/.ready-* && touch $@

$(SERVE):
	@scripts/venv .venv-serve .
	@rm -f .venv-serve/.ready-* && touch $@
