# Two commands do all the set-up: `make search` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
# Tests of one file or class stay together, since they share what takes seconds to make.
PARALLEL := --numprocesses 2 --dist loadscope

.PHONY: install search test test-slow test-long test-points test-gpu test-cluster test-arm test-browser lint format clean

install: $(INSTALLED)

# timm and torchvision (tests only) would bring a CUDA torch along: --no-deps keeps the one that is pinned.
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[onnx,openvino,export]"
	touch $@

.venv/.tested: $(INSTALLED) requirements-test.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --requirement requirements-test.txt
	$(BIN)/python -m pip install --quiet --no-deps --constraint constraints.txt timm torchvision
	touch $@

# A search on this CPU with embedded data: 2.5 minutes, and about as long to confirm its front.
search: $(INSTALLED)
	$(BIN)/nasbench search mnist_tiny --device cpu --trials 40 --time 150s --confirm-processes 5

test: .venv/.tested
	$(BIN)/python -m pytest $(PARALLEL)

test-slow: .venv/.tested
	$(BIN)/python -m pytest -m slow $(PARALLEL)

# What `test` and `test-slow` do to a few: all cells of NAS-Bench-201, and a search that is killed fifty times.
test-long: .venv/.tested
	$(BIN)/python -m pytest -m long $(PARALLEL)

# Every published architecture, not only the smallest of each space.
test-points: .venv/.tested
	$(BIN)/python -m pytest -m points tests/model $(PARALLEL)

# On a machine with an NVIDIA GPU and a CUDA build of torch; tests/gpu says what it must show.
test-gpu: .venv/.tested
	$(BIN)/python -m pytest -m gpu tests/gpu

test-cluster: .venv/.tested
	$(BIN)/python -m pytest -m cluster tests/cluster

# As root, with ARM_NODE=the script that starts an emulated aarch64 node; tests/cluster/test_arm.py says how it is called.
test-arm: .venv/.tested
	$(BIN)/python -m pytest -m arm tests/cluster/test_arm.py

# Reports in a headless Chromium, which must be on this machine (Debian: apt install chromium).
test-browser: .venv/.tested
	$(BIN)/python -m pytest -m browser tests/browser

lint: .venv/.tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/.tested
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache build dist
