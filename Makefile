# make build [PROFILE=sample|coco|PATH.toml] [ARGS="--set key=value --explain"]
# make build BUNDLE=FILE           the same without any network, from what `make bundle` packed elsewhere
# make bundle [PROFILE=sample] [ARGS="--beside oci:build/registry/centernet:latest"]  packs all that a build takes into build/bundle.tar
# make device-bundle [PYTHON=3.8 MACHINE=aarch64] [RELEASE=REF]  packs a release and all that a board installs into build/device-bundle.tar
# make test
# make serve, make serve-stop      a server with its pages, a worker and the deployments, in the background
# make bench [ONLY=host] [VENDOR=sophon-demo/sample/CenterNet]   measures, and writes docs/benchmarks.md, calibration.md and heads.md
# make reliability [ONLY=kills]   kills, cuts, fills, corrupts and feeds on purpose, and writes docs/reliability.md; some hours
# make fuzz [TARGET=image] [SECONDS=600]  searches for input that breaks a reader; one target, or all at once; Python 3.11 or 3.12
# make photographs [PHOTOGRAPHS=FOLDER]    fits the sample's network to real photographs, and says how to build from it
# make audit [ARGS="--service osv"]   asks a database of vulnerabilities about every pinned package; fails where it cannot be asked
# make release-notes [REF=oci:FOLDER:TAG] [ARGS="--output FILE.md"]   the vendor's tables filled with a release's numbers
# make clean-store [ARGS=--yes]    what nothing needs any more: says what it would free, removes it with --yes
# make verify-store [ARGS=--json]  hashes and reads all that builds left: says what decayed, and what becomes of it

# Of the environment here; for a device bundle it is the board's, a version.
PYTHON ?= python3
MACHINE ?= aarch64
ifneq ($(filter device-bundle,$(MAKECMDGOALS)),)
BOARD_PYTHON := $(if $(filter command,$(firstword $(origin PYTHON))),$(PYTHON),3.8)
override PYTHON := python3
ifeq ($(filter 3.%,$(BOARD_PYTHON)),)
$(error PYTHON=$(BOARD_PYTHON) is no version such as 3.8: for a device bundle PYTHON is the version of the board's Python, as in make device-bundle PYTHON=3.8)
endif
endif
VENV := .venv
# Laid out like COCO: train2017/ and annotations/instances_train2017.json.
PHOTOGRAPHS ?= ../shared/coco-mini
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready

# A word for the shell, whatever is in it.
quoted = '$(subst ','\'',$(1))'

ifneq ($(origin BUNDLE),undefined)
ifeq ($(strip $(BUNDLE)),)
$(error BUNDLE names no file, and the build would ask the network: make build BUNDLE=FILE, or leave BUNDLE away)
endif
ifneq ($(shell test -f $(call quoted,$(BUNDLE)) && echo there),there)
$(error BUNDLE=$(BUNDLE) is no file here: name what `make bundle` wrote)
endif
endif

# Packages, weights and images come from a bundle alone: no index, no cache, no settings of this machine's installers.
ifdef BUNDLE
ifneq ($(filter command,$(firstword $(origin PROFILE)))$(findstring --p,$(ARGS)),)
$(error BUNDLE brings its own profile, and another one would take its place: leave PROFILE (or --profile) away, or BUNDLE)
endif
override UNPACKED := build/bundle
override PROFILE := $(UNPACKED)/profile.toml
override WHEELS := $(CURDIR)/$(UNPACKED)/wheels
unexport $(filter PIP_% UV_%,$(.VARIABLES))
override export PIP_CONFIG_FILE := /dev/null
override export PIP_NO_CACHE_DIR := 1
override export PIP_NO_INDEX := 1
override export PIP_FIND_LINKS := $(WHEELS)/build
override export UV_NO_CONFIG := 1
override export UV_OFFLINE := 1
override export UV_PYTHON_DOWNLOADS := never
override export UV_FIND_LINKS := $(WHEELS)/build,$(WHEELS)/toolchain
# One of its own, made anew each time: /tmp, where uv has its cache when it may keep none, is often too small.
override export UV_CACHE_DIR := $(CURDIR)/build/bundle-cache
else
PROFILE ?= sample
# uv does not read pip's settings: pass on where local packages lie.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
endif

# The oldest Python that a board has: one of pyenv's, else uv looks for it and brings it.
DEVICE_PYTHON ?= $(firstword $(wildcard $(HOME)/.pyenv/versions/3.8.*/bin/python) 3.8)
DEVICE := .venv-device

# Most tests of flows wait for a server: four processes on two cores take a quarter of the time of one. A file stays together.
PARALLEL ?= -n 4 --dist loadfile

.PHONY: build bundle device-bundle unpacked serve serve-stop clean-store verify-store release-notes photographs bench reliability audit fuzz test test-quick test-compiler test-device wheel lint clean

build: $(READY)
	$(RUN) -m flows.build --profile $(PROFILE) $(ARGS)
ifdef BUNDLE
	@rm -rf $(UV_CACHE_DIR)
	@test ! -f $(UNPACKED)/expected.json || $(RUN) -m flows.bundle compare --profile $(PROFILE) $(ARGS)
endif

bundle: $(READY)
	$(RUN) -m flows.bundle build --profile $(PROFILE) $(ARGS)

device-bundle: $(READY)
	$(RUN) -m flows.bundle device --profile $(PROFILE) --python $(BOARD_PYTHON) --machine $(MACHINE) $(if $(RELEASE),--release $(RELEASE)) $(ARGS)

# Needs nothing but Python itself: there is no environment yet. What is there already is hashed and kept.
unpacked:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed, $(PYTHON) is older: make build PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m flows.unbundle $(call quoted,$(BUNDLE)) --to $(UNPACKED)
	@rm -rf $(UV_CACHE_DIR)

ifdef BUNDLE
$(READY): | unpacked
endif

serve: $(READY)
	$(RUN) -m flows.serve start $(ARGS)

serve-stop: $(READY)
	$(RUN) -m flows.serve stop

clean-store: $(READY)
	$(RUN) -m flows.clean_store --profile $(PROFILE) $(ARGS)

verify-store: $(READY)
	$(RUN) -m flows.verify_store --profile $(PROFILE) $(ARGS)

release-notes: $(READY)
	$(RUN) -m flows.release_notes $(REF) --profile $(PROFILE) $(ARGS)

photographs: $(READY)
	$(RUN) -m tests.photographs.train --photographs $(PHOTOGRAPHS) $(ARGS)

bench: $(READY)
	$(RUN) -m pytest -c tests/benchmarks/pytest.ini $(if $(ONLY),tests/benchmarks/bench_$(ONLY).py,tests/benchmarks) \
	  $(if $(VENDOR),--vendor-sample=$(VENDOR)) $(ARGS)

reliability: $(READY)
	$(RUN) -m pytest -c tests/reliability/pytest.ini $(if $(ONLY),tests/reliability/try_$(ONLY).py,tests/reliability) $(ARGS)

audit: $(READY)
	$(RUN) -m flows.audit $(ARGS)

# atheris exists for few Pythons, so it is no part of the build environment.
FUZZ := build/fuzz
SECONDS ?= 600

fuzz: $(READY)
	$(VENV)/bin/uv pip install --quiet --python $(RUN) --constraint constraints.txt --target $(FUZZ)/atheris -r requirements-fuzz.txt
	PYTHONPATH=$(FUZZ)/atheris $(RUN) -m tests.fuzz.all --seconds $(SECONDS) --jobs $$(nproc) --out $(FUZZ) --targets $(TARGET)

test: lint test-quick test-device test-compiler

test-quick: $(READY)
	$(RUN) -m pytest -q $(PARALLEL)

test-compiler: $(READY)
	$(RUN) -m pytest -q -m compiler -n 2 --dist loadfile

# The device side as a board has it: Python 3.8, the wheel, the oldest requests; no torch, no Prefect, no compiler.
test-device: wheel
	@$(VENV)/bin/uv venv --quiet --clear --python $(DEVICE_PYTHON) $(DEVICE) || \
	  { echo "skipped: there is no Python 3.8 here and uv cannot bring one; name one by DEVICE_PYTHON=PATH"; exit 0; }; \
	$(VENV)/bin/uv pip install --quiet --python $(DEVICE)/bin/python --constraint constraints-device.txt \
	  "$$(echo build/wheel/*.whl)[signatures]" pytest hypothesis && \
	(cd build/wheel && ../../$(DEVICE)/bin/python -m inference --help > /dev/null) && \
	$(DEVICE)/bin/python -m pytest -q tests/artifacts tests/inference

wheel: $(READY)
	@rm -rf build/wheel
	$(VENV)/bin/uv build --quiet --wheel --out-dir build/wheel .

lint: $(READY)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

$(READY): requirements.txt requirements-dev.txt constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed, $(PYTHON) is older: make build PYTHON=/path/to/python3.11"; exit 1; }
	@free=$$(df -Pk . | awk 'NR == 2 {print int($$4 / 1024)}'); test $$free -ge 3000 || \
	  { echo "The build environment needs about 3 GB here, $$free MB are free. Make space, then run this again."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || \
	  { echo "Python's venv module is missing. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@test ! -L $(VENV) || \
	  { echo "$(VENV) is a link: what it points to would be emptied. Remove the link, then run this again."; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(RUN) -m pip install --quiet --constraint constraints.txt uv
	$(VENV)/bin/uv pip install --quiet --python $(RUN) --constraint constraints.txt -r requirements-dev.txt
	@touch $@

clean:
	rm -rf build
