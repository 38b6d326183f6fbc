# make setup   a virtual environment in .venv with everything an edit needs
# make demo    setup, then edit a sample portrait; says where the picture is
# make test    the tests of the package, in minutes; no Ray cluster, no recipe, no benchmark (installs what it needs)
# make test-web  the studio in a real Chromium: tests, a load of clients (installs what it needs, Chromium by apt-get)
# make check   ruff, mypy and every test: clusters, kills, recipes, benchmarks and the browser too

PYTHON ?= python3
BIN := .venv/bin
STAMPS := .venv/.stamps
# --no-compile: Python compiles on first use what is used, a small part of what is installed.
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-compile --constraint constraints.txt
REQUIREMENTS := pyproject.toml constraints.txt

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup dev demo test test-web check lint types format

help:
	@sed -n 's/^# \(make .*\)/\1/p' $(MAKEFILE_LIST)

setup: $(STAMPS)/core
dev: $(STAMPS)/dev

demo: setup
	$(BIN)/textmorph demo

test: dev
	$(BIN)/python -m pytest -q -m "not slow and not browser" --ignore=tests/recipes --ignore=tests/benchmarks

# One kill and one cluster, each in its shortest form.
.PHONY: test-jobs
test-jobs: dev
	$(BIN)/python -m pytest -q \
		"tests/benchmarks/test_mapper_kills.py" \
		"tests/jobs/test_ray_engine.py::test_workers_keep_from_shard_to_shard_what_they_have_loaded"

test-web: $(STAMPS)/web-test
	$(BIN)/python -m tests.web_browser.chromium
	$(BIN)/python -m pytest -q -m browser tests/web_browser

check: lint types
	$(BIN)/python -m pytest -q -m "not browser"
	$(MAKE) test-web

lint: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: dev
	$(BIN)/mypy

format: dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Stamps: an environment is built once, and again only when its requirements change.
$(STAMPS)/venv:
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	mkdir -p $(STAMPS) && touch $@

# torch comes first and alone, so that nothing later can pull another build of it.
$(STAMPS)/torch: constraints.txt | $(STAMPS)/venv
	$(PIP) torch
	touch $@

$(STAMPS)/core: $(REQUIREMENTS) $(STAMPS)/torch
	$(PIP) --editable .
	touch $@

$(STAMPS)/dev: $(REQUIREMENTS) $(STAMPS)/torch
	$(PIP) --editable ".[corpus,dev,ray,video,web]"
	touch $(STAMPS)/core $@

$(STAMPS)/web-test: $(REQUIREMENTS) $(STAMPS)/dev
	$(PIP) --editable ".[web-test]"
	touch $@

# make portraits         train the embedded domain from scratch (hours on two cores); STAGES="clip report" runs some
# make portraits-report  measure the embedded domain on held-out renders, write its model card
.PHONY: portraits portraits-report
portraits: dev
	$(BIN)/python -m recipes.portraits $(STAGES)

portraits-report: dev
	$(BIN)/python -m recipes.portraits data report

# make benchmark-edits   judge twelve edits of held-out portraits by every method as published; OPTIONS="--portraits 8 --methods global"
.PHONY: benchmark-edits
benchmark-edits: dev
	$(BIN)/python -m benchmarks.edits $(OPTIONS)

# make benchmark-speed   seconds of renders at 1024 px; OPTIONS="--threads 2"
.PHONY: benchmark-speed
benchmark-speed: dev
	$(BIN)/python -m benchmarks.speed $(OPTIONS)

# make benchmark-studio   fifty clients at once in one studio: whose answers, how long, how much memory; OPTIONS="--clients 8"
.PHONY: benchmark-studio
benchmark-studio: dev
	$(BIN)/python -m benchmarks.studio $(OPTIONS)

# make fuzz   100 000 damaged files of every kind that is read: each is taken, or refused by an error of ours
.PHONY: fuzz
fuzz: dev
	$(BIN)/python -m benchmarks.fuzz $(OPTIONS)

# make benchmark-kills   kill -9 banks, corpora and edits of folders 200 times, here and on Ray; compare bit by bit
.PHONY: benchmark-kills
benchmark-kills: dev
	$(BIN)/python -m benchmarks.job_kills --results benchmarks/results/job-kills.json $(OPTIONS)
