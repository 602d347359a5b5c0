# The commands of the course; `make` lists them. Needs only python3 and make.

PYTHON ?= python3
# the others are tried where that one is too old or too new
PYTHONS = "$(PYTHON)" python3.13 python3.12 python3.11
VENV := .venv
BIN := $(VENV)/bin
ifeq ($(OS),Windows_NT)
  PYTHON := python
  PYTHONS = "$(PYTHON)" "py -3.13" "py -3.12" "py -3.11"
  BIN := $(VENV)/Scripts
endif
READY := $(VENV)/.ready
READY_SITE := $(VENV)/.ready-site

NOTEBOOK_01 := 01-data-acquisition-analysis-splitting
SCRIPT_02 := 02-feature-extraction-vggish_embedding.py
NOTEBOOK_03 := 03-training-00-keras_2mlp_clsw0
# but not what a reader has duplicated of them
ANSWERS := $(sort $(foreach name,$(basename $(wildcard 03-training-9*.ipynb)),$(if $(findstring -Copy,$(name)),,$(name))))
NOTEBOOK_04 := 04-testing-and-application
NOTEBOOK_05 := 05-your-own-problem
RECORDINGS := data/on-hold/recordings.csv
EMBEDDINGS := data/on-hold/embeddings/dataset.json
EXTRACTED := executed/$(SCRIPT_02).done

# what a change of makes the products stale
CORPUS_CODE := audioseg/labels.py $(filter-out %/own.py %/finding.py %/naming.py %/merging.py %/corrections.py %/command.py,$(wildcard audioseg/corpus/*.py)) vggish/mini/singing.py vggish/mini/voice.py data/sources.csv
FEATURE_CODE := audioseg/labels.py audioseg/audio.py audioseg/decoding.py feat_ext.py $(SCRIPT_02) $(wildcard audioseg/features/*.py vggish/*.py vggish/mini/network.py vggish/mini/mini.npz)
GOOGLE_WEIGHTS := $(wildcard weights/vggish_model.ckpt)

# TensorFlow's libraries greet on stderr, and oneDNN, which some processors have it use and which
# is no faster here, does so whatever the level; what fails in them is raised in Python as well
export TF_CPP_MIN_LOG_LEVEL ?= 3
export TF_ENABLE_ONEDNN_OPTS ?= 0

.DEFAULT_GOAL := help
.PHONY: no-records help setup notebooks tutorial test test-processors lab vggish image site site-check lock board clean
.DELETE_ON_ERROR:

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' Makefile

setup: $(READY) ## make .venv and install the locked requirements

# TensorFlow has been built for these
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))

define make_environment
for python in $(PYTHONS); do \
  if $$python -c "import ensurepip, venv; $(FITS)" 2>/dev/null; then \
    exec $$python -m venv --clear $(VENV); \
  fi; \
done; \
if uv --version >/dev/null 2>&1; then \
  exec uv venv --quiet --clear --seed --python ">=3.11,<3.14" $(VENV); \
fi; \
if $(PYTHON) -c "$(FITS)" 2>/dev/null; then \
  echo "error: $(PYTHON) comes without venv: install that (Debian, Ubuntu: apt install python3-venv), then type the same again." >&2; \
else \
  found=$$($(PYTHON) --version 2>/dev/null) || found="not here"; \
  echo "error: $(PYTHON) is $$found, but the locked libraries are for Python 3.11 to 3.13: install one of these, or uv, or call make with PYTHON=/path/to/python3.13." >&2; \
fi; \
exit 1
endef

PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# uv is the quicker installer, pip the one that is there; both keep to the hashes. librosa compiles
# parts of itself when it is first called, and no notebook should wait for that
$(READY): requirements.txt pyproject.toml
	@echo "== setup"
	@$(BIN)/python -c "import pip; $(FITS)" 2>/dev/null || { $(make_environment); }
	@sed -n '/^uv==/,/# via/p' requirements.txt > $(VENV)/uv.txt
	@{ $(PIP) --require-hashes -r $(VENV)/uv.txt && \
	  $(BIN)/uv pip install --quiet --compile-bytecode --python $(VENV) --require-hashes -r requirements.txt; } || \
	  { echo "uv could not, so pip does it." && $(PIP) --require-hashes -r requirements.txt; }
	@$(PIP) --no-deps --no-build-isolation --editable .
	@$(BIN)/python -c "import librosa, numpy; librosa.effects.trim(numpy.ones(8000))"
	@touch $@

# a bar is for a terminal
tutorial: export TQDM_DISABLE := $(if $(shell test -t 2 || echo no),1,0)
tutorial: $(READY) ## run the series 01 to 05 on real recordings
	@$(MAKE) --no-print-directory --jobs=2 notebooks
	@$(BIN)/audioseg board

test: $(READY) ## run every test
	@$(BIN)/python -m ruff check --quiet .
	@$(BIN)/python -m ruff format --check --quiet .
	@$(BIN)/python -m pytest

test-processors: $(READY) ## run the numeric tests as an older processor would
	@$(BIN)/python tests/helpers/other_processors.py oldest

lab: $(READY) ## open JupyterLab on the notebooks
	@$(BIN)/python -m jupyter lab

vggish: $(READY) ## fetch Google's VGGish checkpoint and PCA parameters
	@$(BIN)/python -m vggish.weights

image: ## build the workshop image with docker
	docker build -t audio-segmentation .

# Sphinx and what it needs are for the site alone
$(READY_SITE): requirements-site.txt $(READY)
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(VENV) --require-hashes -r requirements-site.txt || \
	  $(PIP) --require-hashes -r requirements-site.txt
	@touch $@

site: $(READY_SITE) ## build the course as a web site that works without network: site/index.html
	@echo "== site"
	@$(BIN)/python -m docs.site.key_pictures
	@rm -rf docs/reference/modules site/* site/.doctrees # of pages that are no more
	@$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet --jobs 2 --conf-dir docs/site --doctree-dir site/.doctrees . site
	@echo "Open site/index.html in a browser."

AXE := site/.axe/node_modules/axe-core/axe.min.js

# npm is not everywhere; the tests that lack this say that they are left out
$(AXE):
	@npm install --silent --no-save --ignore-scripts --prefix site/.axe axe-core@4.14.1 || \
	  echo "axe-core could not be fetched with npm: accessibility is not checked."

site-check: site $(AXE) ## check the site in a browser: links, players, narrow and dark, accessibility
	@$(BIN)/python -m pytest -m site

COMPILE := uv pip compile --universal --fork-strategy fewest --generate-hashes --python-version 3.11 --quiet

lock: $(READY) ## recompile requirements.txt and requirements-site.txt
	@$(BIN)/$(COMPILE) requirements.in -o requirements.txt
	@$(BIN)/$(COMPILE) requirements-site.in -o requirements-site.txt

board: $(READY) ## compare the runs so far
	@$(BIN)/audioseg board

# neither corrections in segmented/, nor the run of a notebook of the reader's, can be made again
clean: ## remove the course's corpora and runs, executed/ and site/; keep downloads, your runs, segmented/
	@rm -rf data/on-hold data/conversations data/conversations-new data/who-speaks executed site docs/figures docs/reference/modules
	@rm -rf runs/board.png $(addprefix runs/,$(NOTEBOOK_03) $(ANSWERS))

# A notebook is run as it stands, into executed/: the one in this folder is the reader's. Its
# kernel talks encrypted, or it would warn that it does not.
define run_notebook
@echo "== $(1)"
@$(2) JPY_SESSION_NAME=$(1).ipynb $(BIN)/python -m nbconvert --log-level=WARN --to notebook --execute --KernelManager.transport_encryption=auto --output-dir executed $(1).ipynb
endef

executed/$(NOTEBOOK_01).ipynb: $(NOTEBOOK_01).ipynb $(CORPUS_CODE) $(READY)
	$(call run_notebook,$(NOTEBOOK_01))

# 02 leaves records as they are that need no change, so that nothing is trained again for them;
# that it has looked is told by a file of its own. Other weights than the records were made with:
# all of them anew
$(EXTRACTED): executed/$(NOTEBOOK_01).ipynb $(FEATURE_CODE) $(GOOGLE_WEIGHTS) $(if $(wildcard $(EMBEDDINGS)),,no-records)
	@echo "== $(SCRIPT_02)"
	@$(BIN)/python $(SCRIPT_02) --workers 2 $(if $(wildcard $(EMBEDDINGS)),$(if $(filter weights/% vggish/%,$?),--overwrite))
	@touch $@

$(EMBEDDINGS): $(EXTRACTED) ;

# the networks are small, and two train at a time: more threads would only wait for each other
ONE_THREAD := TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1

executed/$(NOTEBOOK_03).ipynb: $(NOTEBOOK_03).ipynb $(EMBEDDINGS)
	$(call run_notebook,$(NOTEBOOK_03),$(ONE_THREAD))

define answer_rule
# each shows how it differs from the base
executed/$(1).ipynb: $(1).ipynb $(NOTEBOOK_03).ipynb $(EMBEDDINGS)
	$$(call run_notebook,$(1),$(ONE_THREAD))
endef
$(foreach answer,$(ANSWERS),$(eval $(call answer_rule,$(answer))))

# they end with their scores beside those of the base notebook, and but for 90 of 90 (95: beside
# those of 90 and 91); not so 93, which keeps no run
SECOND := $(filter 03-training-90%,$(ANSWERS))
COMPARED := $(filter-out 03-training-90% 03-training-93%,$(ANSWERS))
WEIGHTED := $(filter 03-training-91%,$(ANSWERS))
ENSEMBLE := $(filter 03-training-95%,$(ANSWERS))
$(SECOND:%=executed/%.ipynb): executed/$(NOTEBOOK_03).ipynb
$(COMPARED:%=executed/%.ipynb): $(SECOND:%=executed/%.ipynb)
$(ENSEMBLE:%=executed/%.ipynb): $(WEIGHTED:%=executed/%.ipynb)

# a training uses one core: notebooks go two at a time. The base and then 90, for which the others
# wait, leave a core to 05; 94, the longest, for which 04 waits, to 93, which keeps no run and so
# can come after 95
LEAK := $(filter 03-training-93%,$(ANSWERS))
RUNS := $(patsubst %,executed/%.ipynb,$(filter-out $(LEAK),$(ANSWERS)) $(NOTEBOOK_03))
$(LEAK:%=executed/%.ipynb): | $(ENSEMBLE:%=executed/%.ipynb)
notebooks: executed/$(NOTEBOOK_05).ipynb executed/$(NOTEBOOK_04).ipynb $(LEAK:%=executed/%.ipynb) ; @:

executed/$(NOTEBOOK_04).ipynb: $(NOTEBOOK_04).ipynb $(RUNS) $(EMBEDDINGS)
	$(call run_notebook,$(NOTEBOOK_04))

# has a corpus and runs of its own, on the same embedding: it needs no training
executed/$(NOTEBOOK_05).ipynb: $(NOTEBOOK_05).ipynb $(EMBEDDINGS)
	$(call run_notebook,$(NOTEBOOK_05))
