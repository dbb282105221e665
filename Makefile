# What you can do here. `make demo` is the place to begin; nothing needs root, hardware, an account or a compiler.

.DEFAULT_GOAL := help
.PHONY: demo test test-long lint bench firmware livekit-server lock clean help

# Name a Python yourself with `make PYTHON=/path/to/python3.12 demo`; otherwise the first that fits is taken.
ifndef PYTHON
PYTHON := $(shell for python in python3.12 python3.11 python3.13 python3; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$python && break; done)
endif
ARGS ?=

IN_VENV := .venv/bin
INSTALLED := .venv/installed
# Most tests wait for sound. Those that run boards in real time follow one another (tests/conftest.py).
TWO_AT_A_TIME := -n 2 --dist loadgroup
# The real server that tests and benchmarks run against; one of your own: LIVEKIT_SERVER=path.
LIVEKIT_VERSION := $(shell sed -nE 's|.*livekit/livekit-server v([0-9.]+).*|\1|p' tests/livekit_server/go.mod)
LIVEKIT_BUILT := build/livekit-server-$(LIVEKIT_VERSION)
# The official JavaScript client that tests run in Chromium.
BROWSER_TESTS := tests/room/browser
CLIENT_INSTALLED := build/livekit-client/installed
# livekit-agents pins an older livekit, so it has an environment of its own.
AGENTS_INSTALLED := build/agents/installed

demo: $(INSTALLED)  ## A simulated board talks in a room and is answered; add ARGS="--help" to see more
	@$(IN_VENV)/pressroom demo $(ARGS)

test: $(INSTALLED) try-livekit-server try-chromium try-livekit-client try-agents  ## All tests but the long ones; ARGS="-k mute" picks some
	@$(IN_VENV)/python -m pytest $(TWO_AT_A_TIME) $(ARGS)

test-long: $(INSTALLED) try-livekit-server try-chromium try-livekit-client try-agents  ## The same with the long ones: five real minutes of clocks, 100,000 inputs a parser
	@PRESSROOM_LONG=1 $(IN_VENV)/python -m pytest $(TWO_AT_A_TIME) --timeout 1800 $(ARGS)

lint: $(INSTALLED)  ## Style, types and import rules
	@$(IN_VENV)/ruff check
	@$(IN_VENV)/ruff format --check
	@$(IN_VENV)/mypy
	@$(IN_VENV)/lint-imports --no-logo

bench: $(INSTALLED) try-livekit-server  ## Measure the figures of the README; ARGS="--json" prints them for a program
	@$(IN_VENV)/python tests/bench/run.py $(ARGS)

firmware: $(INSTALLED)  ## Compile the firmware for every kind of chip into build/firmware/, and say how large it is
	@$(IN_VENV)/pressroom firmware compile $(ARGS)

livekit-server: $(LIVEKIT_BUILT)  ## Build the real LiveKit server that tests run against (needs Go; 2 minutes, once)

lock: $(INSTALLED)  ## Choose the newest versions pyproject.toml allows, for every Python and system, and write them down
	@$(IN_VENV)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --all-extras --generate-hashes \
		--no-header --no-emit-index-url --no-annotate pyproject.toml --output-file requirements.lock

clean:  ## Remove what was built here: .venv, build/, caches
	@rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

help:  ## Show this list
	@awk -F ':.*  ## ' '/^[a-z-]+:.*  ## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

$(LIVEKIT_BUILT): tests/livekit_server/go.mod tests/livekit_server/go.sum
	@command -v go >/dev/null || { echo 'A LiveKit server is built with Go 1.26 or later; install it from your system or' >&2; \
		echo 'from go.dev, or name a server of your own: LIVEKIT_SERVER=path' >&2; exit 2; }
	@echo 'Building LiveKit server $(LIVEKIT_VERSION) (once, 2 minutes) ...' >&2
	@cd tests/livekit_server && go build -o ../../$(LIVEKIT_BUILT) github.com/livekit/livekit-server/cmd/server
	@touch $(LIVEKIT_BUILT)

$(CLIENT_INSTALLED): $(BROWSER_TESTS)/package-lock.json $(BROWSER_TESTS)/package.json
	@echo "Installing LiveKit's JavaScript client into build/livekit-client (once, 40 MB) ..." >&2
	@mkdir -p $(@D) && cp $^ $(@D) && cd $(@D) && npm ci --silent --ignore-scripts --no-audit --no-fund
	@touch $@

$(AGENTS_INSTALLED): tests/agents/requirements.lock
	@echo 'Installing livekit-agents into build/agents (once, 400 MB) ...' >&2
	@$(PYTHON) -m venv --clear build/agents
	@build/agents/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes -r $<
	@touch $@

# Where one of these cannot be had, the tests that need it are skipped, and say so.
.PHONY: try-livekit-server try-chromium try-livekit-client try-agents
try-livekit-server:
	@if [ -z "$(LIVEKIT_SERVER)" ] && command -v go >/dev/null; then $(MAKE) -s --no-print-directory livekit-server || \
		echo 'The LiveKit server could not be built; tests that need it are skipped.' >&2; fi

try-agents: $(INSTALLED)
	@$(MAKE) -s --no-print-directory $(AGENTS_INSTALLED) || \
		echo 'livekit-agents could not be installed; tests that need it are skipped.' >&2

try-chromium:
	@if ! { command -v chromium || command -v google-chrome; } >/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo 'Installing Chromium with apt-get (once, 1 minute) ...' >&2; mkdir -p build; \
		export DEBIAN_FRONTEND=noninteractive; \
		{ apt-get update && apt-get install -y --no-install-recommends chromium; } >build/chromium.log 2>&1 || \
			echo 'Chromium could not be installed (build/chromium.log); tests that need it are skipped.' >&2; fi

try-livekit-client:
	@if command -v npm >/dev/null; then $(MAKE) -s --no-print-directory $(CLIENT_INSTALLED) || \
		echo "LiveKit's JavaScript client could not be installed; tests that need it are skipped." >&2; fi

# The file is touched last, so an install that broke off is begun again.
$(INSTALLED): requirements.lock pyproject.toml hatch_build.py
	@if [ -z "$(PYTHON)" ]; then \
		echo 'Pressroom needs Python 3.11, 3.12 or 3.13 and found none of them. Install one' >&2; \
		echo '(Debian, Ubuntu: apt-get install python3 python3-venv), or name it: make PYTHON=/path/to/python3.12' >&2; exit 2; fi
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
		echo 'PYTHON=$(PYTHON) is not Python 3.11, 3.12 or 3.13; name another one' >&2; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
		echo '$(PYTHON) comes without the modules venv and ensurepip. Install them' >&2; \
		echo '(Debian, Ubuntu: apt-get install python3-venv), or name another Python: make PYTHON=/path/to/python3.12' >&2; exit 2; }
	@echo 'Installing the locked dependencies into .venv (once, 460 MB) ...' >&2
	@$(IN_VENV)/python -c '' 2>/dev/null || $(PYTHON) -m venv --clear .venv
	@$(IN_VENV)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes -r requirements.lock
	@$(IN_VENV)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(INSTALLED)
