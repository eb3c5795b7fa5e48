# make demo   the one command on the embedded toy world, to its end
# make test   the test suite, without what is marked slow
# make test-all   all of it, before a release
# make lint   ruff, the floors of the package, mypy
# make docs   the documentation, site/index.html
# Each makes .venv first, once, with the exact versions that CI passes with.
# PYTHON=python3.12 picks another interpreter, CONSTRAINTS= takes the newest
# versions instead.
PYTHON ?= python3
CONSTRAINTS ?= requirements/constraints.txt
VENV := .venv
READY := $(VENV)/ready
DEMO := work_dirs/demo

.PHONY: demo test test-all lint docs clean

demo: $(READY)
	test -d $(DEMO)/photos || $(VENV)/bin/weakclip toyland --out $(DEMO)/voc \
	    --plain $(DEMO)
	$(VENV)/bin/weakclip run --images $(DEMO)/photos \
	    --labels $(DEMO)/labels.csv --classes $(DEMO)/classes.yaml \
	    --truth $(DEMO)/masks --work-dir $(DEMO)/out --resume \
	    --profile toyland --segmenter fpn_small

PYTEST := $(VENV)/bin/python -m pytest --numprocesses 2 --dist loadfile \
	--no-loadscope-reorder --durations=10

test: $(READY)
	$(PYTEST) -m 'not slow'

test-all: $(READY)
	$(PYTEST)

lint: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check mmseg_weakclip tools tests benchmarks
	$(VENV)/bin/lint-imports --no-logo
	$(VENV)/bin/mypy --ignore-missing-imports --follow-imports=silent \
	    mmseg_weakclip/apps mmseg_weakclip/common mmseg_weakclip/datasets

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
