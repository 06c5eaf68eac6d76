# `make demo` runs the main job; `make test` passes the tests. Both set up .venv first.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
PIP ?= $(BIN)/pip# brings uv, and nothing else
BESIDE := -n 3 --dist loadfile# many tests wait; those of a file share what they set up
# What uv compiles the lock with; versions that are in the lock stay, but for `make upgrade`.
COMPILE = $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	--no-header --no-emit-index-url --no-emit-find-links --all-extras --group dev -o requirements.lock
STAMP = sed -i '/^\# Made /d; 1i \# Made on '$$(date -u +%Y-%m-%d)' by make lock: what make setup installs, byte for byte, whatever is released later.' requirements.lock

.PHONY: setup demo programs test attack check bench screenshots lock upgrade outdated clean

setup: .venv/ready

# The lock's bytes are installed by the uv that is in the lock, so that neither newer releases nor the pip that a Python
# ships decide anything: pip only fetches that one file. Where the index is another one for pip, it is for uv, too.
.venv/ready: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "imgindex needs Python 3.11, 3.12 or 3.13; install one of them, or name it: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	{ echo "imgindex needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is another; name one of them: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@test ! -e .venv || test -e $@ || echo "An earlier set-up did not finish; it begins again." >&2
	@rm -f $@
	@$(PYTHON) -m venv --clear .venv || \
	{ echo "$(PYTHON) cannot make a virtual environment here: install its venv module (Debian: sudo apt install python3-venv), look whether the disk is full, and run make again." >&2; exit 1; }
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.lock >.venv/uv.txt
	@$(PIP) install --quiet --disable-pip-version-check --no-deps --require-hashes -r .venv/uv.txt || \
	{ echo "The installer (uv) could not be fetched; see pip's message above, check the network and the disk, and run make again." >&2; exit 1; }
	@index=$$($(BIN)/pip config list 2>/dev/null | sed -n "s/^[a-z:]*[.]index-url='\(.*\)'$$/\1/p" | tail -n 1); \
	if test -n "$$index" && test -z "$$UV_DEFAULT_INDEX$$UV_INDEX_URL"; then export UV_DEFAULT_INDEX="$$index"; fi; \
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock && \
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-build-isolation --no-deps --editable . || \
	{ echo "The packages could not be installed; see uv's message above, check the network and the disk, and run make again." >&2; exit 1; }
	@touch $@

demo: setup
	@$(BIN)/imgindex demo

# The tests of the pages run in Chromium, those of system calls under strace. Where one is not here and cannot be
# installed, its tests are skipped, and say so.
programs:
	@$(call need,chromium,chromium chromium-browser google-chrome)
	@$(call need,strace,strace)

# A package of Debian's, and the names of the programs of which one must be there.
need = for name in $(2); do command -v $$name >/dev/null && exit; done; \
	test "$$(id -u)" = 0 && command -v apt-get >/dev/null && echo "Installing $(1) for the tests." && \
	apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends $(1) >/dev/null || \
	echo "Some tests need $(1): install it (Debian: sudo apt install $(1))." >&2

test: setup programs
	@$(BIN)/python -m pytest $(BESIDE)

# The same kills and damages as in `make test`, but many more of them: a quarter of an hour.
attack: setup programs
	@IMGINDEX_ATTACK=1 $(BIN)/python -m pytest -n 3 --dist load -m attack --timeout 1200

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest $(BESIDE)

bench: setup
	@$(BIN)/python -m tests.benchmarks

# Pictures of the pages: make screenshots TO=/tmp/pages [PHOTOS=~/Pictures]
screenshots: setup programs
	@test -n "$(TO)" || { echo "Say where to: make screenshots TO=/tmp/pages" >&2; exit 1; }
	@$(BIN)/python -m tests.support.screenshots $(TO) $(if $(PHOTOS),--photos $(PHOTOS))

# After a change of the dependencies in pyproject.toml.
lock: setup
	$(COMPILE)
	@$(STAMP)

# The newest releases that pyproject.toml allows.
upgrade: setup
	$(COMPILE) --upgrade
	@$(STAMP)

# What is behind its newest release.
outdated: setup
	@$(BIN)/uv pip list --python $(BIN)/python --outdated

clean:
	rm -rf .venv build *.egg-info
