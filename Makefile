# The commands that people type. Each installs what it needs first; the stamps in .venv make the next time quick.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --quiet --disable-pip-version-check
# Compiled files are kept: without them each worker compiles every test again.
PYTHON := env -u PYTHONDONTWRITEBYTECODE $(BIN)/python
PYTEST := $(PYTHON) -m pytest -n 3 --dist worksteal
LOCK := $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header --no-annotate --quiet

.PHONY: run dev test test-fast test-all coverage check format catalogues bench soak lock hooks
.DEFAULT_GOAL := run

# Serve the demo practice; HOST and PORT choose where.
run: $(VENV)/run.done
	@CASEAPP_ENV=demo exec $(BIN)/caseapp serve

# Serve the demo practice and start again whenever a file of the program changes.
dev: $(VENV)/run.done
	@CASEAPP_ENV=demo exec $(BIN)/caseapp serve --reload

# Test what needs no browser, PDF, other process or PostgreSQL. ARGS goes to pytest, as in all targets for tests.
test-fast: $(VENV)/test.done
	$(PYTEST) -n 2 --fast $(ARGS)

# Run the whole suite: SQLite, browser, and PostgreSQL where it matters. CI=true makes a skipped test a failed one.
test: $(VENV)/test.done
	$(PYTEST) $(ARGS)

# Run the whole suite with every database test on both databases.
test-all: $(VENV)/test.done
	$(PYTEST) --all-databases $(ARGS)

# Measure which lines and branches the suite runs; fails under the floors of tests/support/coverage_floor.py. The
# sandbox's workers, which run as nobody, write into the same folder, and the last of them end after the tests. The
# figures are printed even when a test fails.
coverage: $(VENV)/test.done
	@scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT && \
	chmod 1777 "$$scratch" && export COVERAGE_FILE="$$scratch/coverage" && \
	{ $(PYTEST) --cov --cov-report= $(ARGS); tests=$$?; } ; \
	{ $(BIN)/coverage combine --append --quiet || true; } && \
	$(BIN)/python -m tests.support.coverage_floor && exit $$tests

# Lint, format, types, imports, templates, styles, scripts, words, translations, and the library as on the release's day.
check: $(VENV)/test.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	.ci/format_assets --check
	$(BIN)/oxlint --quiet --deny correctness --deny suspicious --deny perf caseapp/static/js
	.ci/check_words
	$(BIN)/python .ci/catalogues --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/djlint templates --lint --quiet
	@scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT && \
	export CASEAPP_ENV=test CASEAPP_DATA_DIR="$$scratch" && \
	$(BIN)/caseapp init && $(BIN)/caseapp handouts check --at-release

# Format Python, styles and scripts.
format: $(VENV)/test.done
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format .
	.ci/format_assets

# Bring the catalogues of translations in step with the texts of the program.
catalogues: $(VENV)/test.done
	$(BIN)/python .ci/catalogues

# Run the quick checks before each commit.
hooks: $(VENV)/test.done
	$(BIN)/pre-commit install

# Measure against floors that are started beside the app; prints ratios and writes var/bench.json.
bench: $(VENV)/test.done
	$(BIN)/python -m tests.bench

# Break running processes again and again, and try many more examples; ROUNDS says how many times more.
soak: $(VENV)/test.done
	ROUNDS=$${ROUNDS:-25} $(PYTHON) -m pytest -m "fault or soak" --all-databases --timeout 3600 $(ARGS)

# Pin what pyproject.toml asks for, with hashes and without naming a host.
lock: $(VENV)/test.done
	$(LOCK) --output-file requirements.lock
	$(LOCK) --extra test --constraint requirements.lock --output-file requirements-test.lock

$(VENV)/run.done: requirements.lock pyproject.toml
	.ci/packages run
	test -x $(BIN)/python || python3 -m venv $(VENV)
	$(PIP) install --require-hashes -r requirements.lock
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/test.done: requirements-test.lock $(VENV)/run.done
	.ci/packages test
	$(PIP) install --require-hashes -r requirements-test.lock
	@touch $@
