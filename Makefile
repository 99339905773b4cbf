# Two commands on a fresh machine: `make demo` runs the main job, `make test` passes the tests.
PYTHON ?= python3
BIN := .venv/bin
COHORTS ?=
ONCE ?=
# The tests start a hundred processes: each would compile every module anew where the environment forbids to keep them.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test check docs bench chaos sbom lock clean

demo: .venv/installed  ## simulate (or read COHORTS), train, promote and serve; prints where to sign in; ONCE=1 ends after printing
	$(BIN)/taxokine demo $(if $(COHORTS),--cohorts "$(COHORTS)") $(if $(ONCE),--once)

test: .venv/installed  ## run the tests
	$(BIN)/python -m pytest --numprocesses auto --dist loadscope --no-loadscope-reorder

check: .venv/installed  ## format, lint, strict types, import contracts, dead code, dependency hygiene
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vulture
	$(BIN)/deptry .

docs: .venv/installed  ## build the documents into site/, links checked; open site/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

chaos: .venv/installed  ## a deployment under load while its parts fail, ten times each; prints what was lost
	TAXOKINE_CHAOS_ROUNDS=10 $(BIN)/python -m pytest -s tests/chaos

bench: .venv/installed  ## speed as ratios side by side in one run, into docs/benchmarks.md, .json and a chart
	$(BIN)/python -m benchmarks

sbom: .venv/installed  ## what is installed, as CycloneDX in sbom.json, and the licences of what runs in licences.txt
	$(BIN)/cyclonedx-py environment --output-reproducible --pyproject pyproject.toml --mc-type application -o sbom.json .venv
	$(BIN)/python -m tests.licences > licences.txt

lock: .venv/installed  ## resolve the pins anew with their hashes, for 3.11 and 3.12
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-header --no-annotate --generate-hashes --group dev pyproject.toml -o requirements.txt

clean:
	rm -rf .venv .demo

.venv/installed: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Taxokine needs Python 3.11 or later; name one: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@
