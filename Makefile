# Everything for people and CI; `make demo` and `make test` set up what they need first.
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-exact test-npu-plans test-faults test-sanitizers test-arm stress lint format clean

BIN := .venv/bin
CXX_SOURCES := $(wildcard runtime_patches/*/*.h runtime_patches/*/*.cc runtime_patches/src/*/*.h runtime_patches/src/*/*.cc examples/*/*.c examples/*/*.cc examples/*/app/src/main/cpp/*.cc tests/schedules/*.[ch] tests/support/*.[ch] tests/support/*.cc)

help:
	@echo "make setup    .venv with the tool in .venv/bin/hetcomp; system packages through apt"
	@echo "make demo     compile ResNet-50, co-execute it, validate it, show placement and gain"
	@echo "make test     lint and all tests; PYTEST=... adds arguments for pytest"
	@echo "make test-exact  the planner's search against the exact solver on 500 random graphs"
	@echo "make test-npu-plans  500 drawn plans of CPU, GPU and NPU compute what the CPU does"
	@echo "make test-faults  OpenCL fails at the calls of a run, in ten ways, or memory, on every tier"
	@echo "make stress   10,000 inferences over 8 threads and 3 models: outputs and memory"
	@echo "make test-sanitizers  the runtime under Thread-, Address- and UBSanitizer"
	@echo "make test-arm  kernels and networks for ARM under its emulator, with OpenCL (minutes)"
	@echo "make lint     ruff, mypy, clang-format"
	@echo "make format   reformat the sources"
	@echo "make clean    remove what was built, .venv included"

setup:
	@scripts/setup.sh

demo: setup
	@$(BIN)/python scripts/demo.py

test: lint
	$(BIN)/python -m pytest --durations=15 $(PYTEST)

test-exact: setup
	HETCOMP_EXACT_GRAPHS=500 $(BIN)/python -m pytest $(PYTEST) tests/plan/test_exact.py

test-npu-plans: setup
	HETCOMP_NPU_PLANS=500 $(BIN)/python -m pytest $(PYTEST) tests/e2e/test_npu_plans.py

test-faults: setup
	scripts/test_faults.sh

stress: setup
	$(BIN)/python scripts/stress.py

test-sanitizers: setup
	scripts/test_sanitizers.sh

test-arm:
	@HETCOMP_WITH_ARM=1 scripts/setup.sh
	HETCOMP_TEST_ARM=1 HETCOMP_REQUIRE_ARM=1 HETCOMP_REQUIRE_OPENCL=1 $(BIN)/python -m pytest --durations=15 $(PYTEST) $(wildcard tests/*/test_*arm*.py) tests/remote/test_board_profile.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	scripts/typecheck.sh
	@if command -v clang-format >/dev/null; then \
	  echo clang-format --dry-run -Werror; clang-format --dry-run -Werror $(CXX_SOURCES); \
	else echo "clang-format is missing: C++ style not checked"; fi

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	if command -v clang-format >/dev/null; then clang-format -i $(CXX_SOURCES); fi

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -f examples/*/*.so examples/*/*.onnx
