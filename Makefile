# make demo   the whole pipeline on the embedded toy world
# make test   the test suite
# make lint   ruff
# make docs   the documentation, site/index.html
# Each makes .venv first, once, with the exact versions that CI passes with.
# PYTHON=python3.12 picks another interpreter, CONSTRAINTS= takes the newest
# versions instead.
PYTHON ?= python3
CONSTRAINTS ?= requirements/constraints.txt
VENV := .venv
READY := $(VENV)/ready

.PHONY: demo test lint docs clean

demo: $(READY)
	$(VENV)/bin/python tools/toyland_demo.py

test: $(READY)
	$(VENV)/bin/python -m pytest --numprocesses 2 --dist loadfile \
	    --no-loadscope-reorder --durations=10

lint: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check mmseg_weakclip tools tests benchmarks

docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/python -m mkdocs build --strict

$(READY): setup.py requirements.txt $(wildcard requirements/*.txt)
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --disable-pip-version-check \
	    $(if $(CONSTRAINTS),-c $(CONSTRAINTS)) \
	    -r requirements.txt -r requirements/tests.txt -e .
	touch $@

clean:
	rm -rf $(VENV)
