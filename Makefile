# The commands of the course; `make` lists them. Needs only python3 (3.11 to 3.13) and make.

PYTHON ?= python3
VENV := .venv
ifeq ($(OS),Windows_NT)
  BIN := $(VENV)/Scripts
  PYTHON := python
else
  BIN := $(VENV)/bin
endif
READY := $(VENV)/.ready

NOTEBOOK_01 := 01-data-acquisition-analysis-splitting
SCRIPT_02 := 02-feature-extraction-vggish_embedding.py
NOTEBOOK_03 := 03-training-00-keras_2mlp_clsw0
# but not what a reader has duplicated of them
ANSWERS := $(sort $(foreach name,$(basename $(wildcard 03-training-9*.ipynb)),$(if $(findstring -Copy,$(name)),,$(name))))
NOTEBOOK_04 := 04-testing-and-application
RECORDINGS := data/on-hold/recordings.csv
EMBEDDINGS := data/on-hold/embeddings/dataset.json

# what a change of makes the products stale
CORPUS_CODE := audioseg/labels.py $(filter-out %/own.py %/command.py,$(wildcard audioseg/corpus/*.py)) data/sources.csv
FEATURE_CODE := audioseg/labels.py audioseg/audio.py feat_ext.py $(SCRIPT_02) $(wildcard audioseg/features/*.py vggish/*.py vggish/mini/network.py vggish/mini/mini.npz)
GOOGLE_WEIGHTS := $(wildcard weights/vggish_model.ckpt)

export TF_CPP_MIN_LOG_LEVEL ?= 3

.DEFAULT_GOAL := help
.PHONY: help setup trainings tutorial test lab vggish image lock board clean
.DELETE_ON_ERROR:

help: ## list the commands
	@$(PYTHON) -c "import re; [print(f'make {t:10} {d}') for t, d in re.findall(r'^(\w+):.*## (.*)', open('Makefile', encoding='utf-8').read(), re.M)]"

setup: $(READY) ## make .venv and install the locked requirements

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c "import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13) and f'error: {sys.executable} is Python {sys.version.split()[0]}, but the locked libraries are for 3.11 to 3.13: call make with PYTHON=python3.13.')"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(BIN)/python -c "import pathlib; pathlib.Path('$@').touch()"

tutorial: executed/$(NOTEBOOK_04).ipynb ## run the series 01 to 04 on real recordings
	@$(BIN)/audioseg board

test: $(READY) ## run every test
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m pytest

lab: $(READY) ## open JupyterLab on the notebooks
	$(BIN)/python -m jupyter lab

vggish: $(READY) ## fetch Google's VGGish checkpoint and PCA parameters
	$(BIN)/python -m vggish.weights

image: ## build the workshop image with docker
	docker build -t audio-segmentation .

lock: requirements.in ## recompile requirements.txt from requirements.in
	uv pip compile --universal --fork-strategy fewest --generate-hashes --python-version 3.11 --quiet requirements.in -o requirements.txt

board: $(READY) ## compare the runs so far
	@$(BIN)/audioseg board

clean: ## remove what the series produced, keep downloads
	@$(PYTHON) -c "import pathlib, shutil; [shutil.rmtree(p, ignore_errors=True) for p in map(pathlib.Path, ('data/on-hold', 'runs', 'executed', 'segmented'))]"

# A notebook is run as it stands, into executed/: the one in this folder is the reader's.
run_notebook = @echo "== $(1)" && mkdir -p executed && JPY_SESSION_NAME=$(1).ipynb $(BIN)/python -m papermill --kernel python3 --no-request-save-on-cell-execute $(2) $(1).ipynb executed/.$(1).part.ipynb && mv executed/.$(1).part.ipynb executed/$(1).ipynb

executed/$(NOTEBOOK_01).ipynb: $(NOTEBOOK_01).ipynb $(CORPUS_CODE) $(READY)
	$(call run_notebook,$(NOTEBOOK_01))

# other weights than the records were made with: all of them anew
$(EMBEDDINGS): executed/$(NOTEBOOK_01).ipynb $(FEATURE_CODE) $(GOOGLE_WEIGHTS)
	@echo "== $(SCRIPT_02)"
	@$(BIN)/python $(SCRIPT_02) --workers 2 $(if $(filter weights/% vggish/%,$?),--overwrite)

executed/$(NOTEBOOK_03).ipynb: $(NOTEBOOK_03).ipynb $(EMBEDDINGS)
	$(call run_notebook,$(NOTEBOOK_03),--no-progress-bar --log-level ERROR)

define answer_rule
# each shows how it differs from the base
executed/$(1).ipynb: $(1).ipynb $(NOTEBOOK_03).ipynb $(EMBEDDINGS)
	$$(call run_notebook,$(1),--no-progress-bar --log-level ERROR)
endef
$(foreach answer,$(ANSWERS),$(eval $(call answer_rule,$(answer))))

# it shows its scores beside those of 90
$(patsubst %,executed/%.ipynb,$(filter 03-training-91%,$(ANSWERS))): $(patsubst %,executed/%.ipynb,$(filter 03-training-90%,$(ANSWERS)))

# small networks leave a core half idle: they go two at a time, the long ones first
reverse = $(if $(1),$(call reverse,$(wordlist 2,$(words $(1)),$(1))) $(firstword $(1)))
trainings: $(patsubst %,executed/%.ipynb,$(call reverse,$(ANSWERS)) $(NOTEBOOK_03))

executed/$(NOTEBOOK_04).ipynb: $(NOTEBOOK_04).ipynb $(NOTEBOOK_03).ipynb $(ANSWERS:%=%.ipynb) $(EMBEDDINGS)
	@$(MAKE) --no-print-directory --jobs=2 trainings
	$(call run_notebook,$(NOTEBOOK_04))
