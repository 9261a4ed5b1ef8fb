# Two commands do everything on a fresh machine with Python 3.11+, git and make: `make run` and `make test`.
# uv is used when it is there, venv and pip when it is not.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
UV     := $(shell command -v uv 2>/dev/null)
# Where `make run` puts its sample configuration and vault; both are left alone once they exist.
SAMPLE ?= sample

.PHONY: help run test lint types check format bench clean

help:
	@echo "make run      environment, sample vault, and the daemon in the foreground (Ctrl-C stops it)"
	@echo "make test     everything that CI checks: ruff, mypy --strict, the tests"
	@echo "make format   ruff's fixes and formatting"
	@echo "make bench    aiemp beside supervisord and circus (half an hour)"
	@echo "make clean    removes the environment and what tools have left"

run: $(VENV)/.installed
	@test -f $(SAMPLE)/supervisor.toml || $(BIN)/aiemp init $(SAMPLE)
	@exec $(BIN)/aiemp run -c $(SAMPLE)/supervisor.toml

test: $(VENV)/.installed-dev lint types
	$(BIN)/python -m pytest -n auto

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

check: test

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks

$(VENV)/bin/python:
ifdef UV
	@uv venv --quiet --seed --python "$(PYTHON)" $(VENV)
else
	@$(PYTHON) -m venv $(VENV)
endif

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	@echo "installing aiemp into $(VENV) …"
ifdef UV
	@uv pip install --quiet --python $(BIN)/python -e .
else
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
endif
	@touch $@

# The development tools are a dependency group (PEP 735), which old pips can't install: so name them one by one.
$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "installing the development tools …"
ifdef UV
	@uv pip install --quiet --python $(BIN)/python --group dev
else
	@$(BIN)/python -c 'import tomllib; print("\n".join(tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["dev"]))' \
	  | $(BIN)/python -m pip install --quiet --disable-pip-version-check -r /dev/stdin
endif
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
