# `make demo` runs the main job; `make test` passes the tests. Both set up .venv first.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
BESIDE := -n 3 --dist loadfile# many tests wait; those of a file share what they set up

.PHONY: setup demo browser test check bench screenshots lock clean

setup: .venv/ready

.venv/ready: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "imgindex needs Python 3.11, 3.12 or 3.13 (tensorflow has no others)." >&2; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	PYTHONWARNINGS=ignore $(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@

demo: setup
	@$(BIN)/imgindex demo

# The tests of the pages run in Chromium. Where it is not here and cannot be installed, they are skipped, and say so.
browser:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || \
	{ test "$$(id -u)" = 0 && command -v apt-get >/dev/null && echo "Installing Chromium for the tests." && \
	apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends chromium >/dev/null; } || \
	echo "The tests of the pages need Chromium: install the package chromium (Debian: sudo apt install chromium)." >&2

test: setup browser
	@$(BIN)/python -m pytest $(BESIDE)

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest $(BESIDE)

bench: setup
	@$(BIN)/python -m tests.benchmarks

# Pictures of the pages: make screenshots TO=/tmp/pages [PHOTOS=~/Pictures]
screenshots: setup browser
	@test -n "$(TO)" || { echo "Say where to: make screenshots TO=/tmp/pages" >&2; exit 1; }
	@$(BIN)/python -m tests.screenshots $(TO) $(if $(PHOTOS),--photos $(PHOTOS))

# After a change of the dependencies; needs uv.
lock:
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--no-emit-index-url --no-emit-find-links --all-extras --group dev --upgrade -o requirements.lock

clean:
	rm -rf .venv build *.egg-info
