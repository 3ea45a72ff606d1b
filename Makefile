# make demo: all set-up, then train the embedded default.   make test: all set-up, then the tests.
# Assumes make and Python 3.11 to 3.13 with venv; everything else goes into .venv and .venv-jax, in locked versions.

.PHONY: demo setup setup-jax setup-torch test test-all test-313 test-torch test-fpga test-nightly lint docs notebooks demo-page format lock wheel clean
.DELETE_ON_ERROR:

# The first of these that really is Python 3.11 to 3.13 with venv; `make PYTHON=...` names another. 3.13 comes after the two that
# larq, tfmot and larq-compute-engine know.
CHECK = import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
ifndef PYTHON
PYTHON := $(shell for python in python3.12 python3.11 python3.13 python3; do "$$python" -c '$(CHECK)' 2>/dev/null && echo "$$python" && break; done)
endif
REQUIRE_PYTHON = @"$(or $(PYTHON),false)" -c '$(CHECK)' 2>/dev/null || \
	{ echo "error: tfq needs Python 3.11 to 3.13 with venv; found '$(or $(PYTHON),none)'. Name one: make PYTHON=/path/to/python3.12" >&2; exit 1; }

VENV = .venv/bin/python
VENV_JAX = .venv-jax/bin/python
EXTRAS = $(addprefix --extra ,tensorflow larq tfmot export onnx runtime train stream bulk test dev)
EXTRAS_JAX = $(addprefix --extra ,jax onnx runtime train stream test)
EXTRAS_TORCH = $(addprefix --extra ,onnx runtime train test)

# PyTorch for processors alone. That of PyPI brings CUDA on Linux; PyTorch's own index has it without. Options of pip that name another
# place: make TORCH_FROM="--find-links FOLDER" setup-torch
TORCH = 2.13.0
TORCH_FROM = --extra-index-url https://download.pytorch.org/whl/cpu
# What it imports. The lock has these, and not torch itself: its files differ from index to index.
TORCH_NEEDS = filelock fsspec jinja2 networkx setuptools sympy typing-extensions

demo: setup
	$(VENV) train.py --flagfile=configs/demo.cfg

setup: .venv/.complete
setup-jax: .venv-jax/.complete
setup-torch: .venv-torch/.complete

# `.complete` comes last: a set-up that was interrupted is done again from the start.
.venv/.complete: locks/tensorflow.txt pyproject.toml
.venv-jax/.complete: locks/jax.txt pyproject.toml
.venv-313/.complete: locks/tensorflow.txt pyproject.toml
.venv-jax-313/.complete: locks/jax.txt pyproject.toml
.venv-torch/.complete: locks/torch.txt pyproject.toml Makefile
.venv-nightly/.complete: locks/tensorflow.txt pyproject.toml
.venv-jax-nightly/.complete: locks/jax.txt pyproject.toml
.venv-313/.complete .venv-jax-313/.complete: PYTHON = python3.13
.venv-torch/.complete: BESIDE = $(TORCH_FROM) torch==$(TORCH)
ENVIRONMENTS = $(addsuffix /.complete,.venv .venv-jax .venv-313 .venv-jax-313 .venv-torch .venv-nightly .venv-jax-nightly)
$(ENVIRONMENTS):
	$(REQUIRE_PYTHON)
	"$(PYTHON)" -m venv --clear $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	$(if $(BESIDE),$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps $(BESIDE))
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

# JAX leaves most optimizations out, which take it longer than what small networks compute; `test-all` is with them.
FAST = SELECT='not slow' PARTS_OF_OTHERS=two_parts QUICK='JAX_DISABLE_MOST_OPTIMIZATIONS=1'

test: setup setup-jax
	$(MAKE) --no-print-directory suites $(FAST)

# Everything, also what takes minutes: each config on both networks, kills at any moment, the real data.
test-all: setup setup-jax setup-torch
	$(MAKE) --no-print-directory suites SELECT='slow or not slow'
	$(MAKE) --no-print-directory test-torch

# The fast ones on Python 3.13, for which there are neither larq nor tfmot nor larq-compute-engine; what needs them is skipped.
test-313: .venv-313/.complete .venv-jax-313/.complete
	$(MAKE) --no-print-directory suites $(FAST) VENV=.venv-313/bin/python VENV_JAX=.venv-jax-313/bin/python

# The fast ones on the Keras of last night, in environments of their own. `make --ignore-errors test-nightly` runs on where a suite fails.
test-nightly: .venv-nightly/.complete .venv-jax-nightly/.complete
	@for environment in $(^D); do \
		$$environment/bin/python -m pip uninstall --quiet --yes keras && \
		$$environment/bin/python -m pip install --quiet --disable-pip-version-check --upgrade --no-deps --pre keras-nightly || exit 1; \
	done
	$(MAKE) --no-print-directory suites $(FAST) VENV=.venv-nightly/bin/python VENV_JAX=.venv-jax-nightly/bin/python

# Quantizers, layers and training on PyTorch: what computes. The rest does not ask for the backend.
test-torch: SELECT = not slow
test-torch: setup-torch
	@echo "== Keras 3 on PyTorch" && KERAS_BACKEND=torch .venv-torch/bin/python $(PYTEST) $(ON_TORCH)

# Their tests read tfq in the checkout: finn-plus has a setuptools that is too old to install it. `--no-deps`: a lock has all that is
# wanted, and the one of finn-plus leaves torch out, which pip would ask for.
JUDGES = .venv-finn/.complete .venv-hls4ml/.complete
$(JUDGES): PYTHON = python3.11
$(JUDGES): .venv-%/.complete: locks/%.txt
	$(REQUIRE_PYTHON)
	"$(PYTHON)" -m venv --clear $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $<
	touch $@

# What reads QONNX files, and hls4ml's C simulation by g++. finn-plus and hls4ml want other versions of what the tests have.
test-fpga: $(JUDGES)
	.venv-finn/bin/python -m pytest -m slow tests/onnx_models/test_finn.py
	.venv-hls4ml/bin/python -m pytest -m slow tests/interop/test_hls4ml.py

# Test processes at once. Each starts with a half of the tests, so that what a module shares is made once, and helps the other at the end.
WORKERS = 2
PYTEST = -m pytest --numprocesses=$(WORKERS) --dist=worksteal -m "$(SELECT)"

# What needs no Keras runs once, and imports none. The rest runs in three parts, so that no process grows beyond 2 GiB. On tf_keras and
# JAX the first two are small among the fast tests, and one there.
WITHOUT_KERAS = tests/c tests/cli tests/graph tests/onnx_models tests/runtime
FILES = tests/convert tests/export
PROGRAMS = tests/lab tests/models tests/training
REST = tests $(addprefix --ignore=,$(WITHOUT_KERAS) $(FILES) $(PROGRAMS))
ON_TORCH = $(addprefix tests/,backend contracts interop layers quantizers training/test_flip_ratio.py training/test_weights.py)

PARTS_OF_OTHERS = three_parts
define three_parts
@$(1) $(PYTEST) $(FILES)
@$(1) $(PYTEST) $(PROGRAMS)
@$(1) $(PYTEST) $(REST)
endef

define two_parts
@$(1) $(PYTEST) $(FILES) $(PROGRAMS)
@$(1) $(PYTEST) $(REST)
endef

.PHONY: suites
suites:
	@echo "== Without Keras" && $(VENV) $(PYTEST) $(WITHOUT_KERAS)
	@echo "== Keras 3 on TensorFlow"
	$(call three_parts,$(VENV))
	@echo "== tf_keras"
	$(call $(PARTS_OF_OTHERS),TF_USE_LEGACY_KERAS=1 $(VENV))
	@echo "== Keras 3 on JAX, without TensorFlow"
	$(call $(PARTS_OF_OTHERS),KERAS_BACKEND=jax $(QUICK) $(VENV_JAX))

lint: setup
	$(VENV) -m ruff check .
	$(VENV) -m ruff format --check .
	.venv/bin/lint-imports
	$(VENV) -m mypy
	NO_MKDOCS_2_WARNING=1 $(VENV) -m mkdocs build --strict --quiet --site-dir build/site

docs: setup
	NO_MKDOCS_2_WARNING=1 $(VENV) -m mkdocs build --strict

# Each page of the gallery as a notebook; to be done again when a page has changed.
notebooks: setup
	$(VENV) tools/notebooks.py

# A network of the zoo as WebAssembly in one page; to be done again when the C or the page has changed. Needs clang and lld.
demo-page: setup
	$(VENV) tools/demo_page.py

format: setup
	$(VENV) -m ruff check --fix .
	$(VENV) -m ruff format .

# What is locked stays where it fits; `make lock UPGRADE=--upgrade` takes the newest of everything.
UPGRADE =
LOCK = -m uv pip compile --quiet pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header $(UPGRADE)

# Of the judges of QONNX, on one Python. brevitas wants torch, which the tests do without.
FINN_NEEDS = finn-plus==1.6.1 pytest pytest-xdist psutil setuptools
LOCK_ALONE = -m uv pip compile --quiet --python-version 3.11 --generate-hashes --no-header $(UPGRADE)

lock: setup
	mkdir -p build
	$(VENV) $(LOCK) $(EXTRAS) -o locks/tensorflow.txt
	$(VENV) $(LOCK) $(EXTRAS_JAX) -o locks/jax.txt
	printf '%s\n' $(TORCH_NEEDS) | $(VENV) $(LOCK) - $(EXTRAS_TORCH) -o locks/torch.txt
	printf 'torch ; sys_platform == "never"\n' > build/without_torch.txt
	printf '%s\n' $(FINN_NEEDS) | $(VENV) $(LOCK_ALONE) - --override build/without_torch.txt -o locks/finn.txt
	printf '%s\n' hls4ml==1.3.0 | $(VENV) $(LOCK_ALONE) pyproject.toml - --extra tensorflow --extra runtime --extra test -o locks/hls4ml.txt

# Two from one tree, with no file in both: tfq-runtime, which installs no Keras, and tfq, which requires it.
wheel: setup
	$(VENV) tools/wheels.py

clean:
	rm -rf $(ENVIRONMENTS:/.complete=) $(JUDGES:/.complete=) build dist site *.egg-info
