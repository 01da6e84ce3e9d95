# Needs make and Python 3.11, 3.12 or 3.13. Every target can be interrupted and called again.
# `make` alone lists them.

PROFILE ?= smoke
DATA ?=
OUT ?= out
SEED ?= 0
JOBS ?= 2
WORKERS ?=
ROOM ?= room
SYLLABUS ?=
PACK ?=
MINUTES ?= 7
PYTHON ?=

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
# What is installed is named by the content of what decides it, so that neither a fresh clone's
# dates nor a half-finished installation can pass for a finished one.
STAMP := $(VENV)/installed-$(firstword $(shell cat requirements.lock pyproject.toml | cksum))
NOTEBOOKS := find notebooks -name .ipynb_checkpoints -prune -o -name '*.ipynb' -exec
NBSTRIPOUT := $(BIN)/nbstripout --extra-keys "metadata.papermill cell.metadata.papermill" \
	--drop-tagged-cells injected-parameters

# A user's own packages and paths stay out; pip asks nothing.
unexport PYTHONPATH PYTHONHOME
export PYTHONNOUSERSITE := 1
export PIP_NO_INPUT := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
CARD_PYTHON := $(or $(PYTHON),python3)
.PHONY: help setup study lab site workshop test bench card lint format lock clean

help: ## Show this text
	@echo "First:"
	@echo "  make study                        run every notebook on generated images and print the NormDEL table"
	@echo "  make study PROFILE=laptop DATA=~/my_images   the same on your own folder of images"
	@echo "  make test                         check everything"
	@echo
	@echo "All targets:"
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1|\2/p' Makefile | awk -F'|' '{ printf "%-10s %s\n", $$1, $$2 }'
	@echo
	@echo "Variables: PROFILE=smoke|laptop|paper  DATA=folder (none: generated)  OUT=$(OUT)  SEED=$(SEED)"
	@echo "           ROOM=$(ROOM)  SYLLABUS=90-minutes|half-day|day (none: all exercises)"
	@echo "           WORKERS=2 (processes that share the study's encoders; none: one a core)"
	@echo "           PACK=folder MINUTES=$(MINUTES) (of the study on a GPU)"
	@echo "           PYTHON=python3.12 (none: the first of 3.13, 3.12, 3.11 that works)  JOBS=$(JOBS) (tests at a time)"

setup: $(STAMP) ## Make .venv with the locked packages; nothing to do if it is there

study: $(STAMP) ## Run the whole paper into OUT; what is finished there is not done again
	"$(BIN)/meddel" run --profile "$(PROFILE)" --seed "$(SEED)" --out "$(OUT)" $(if $(DATA),--data "$(DATA)") \
		$(if $(WORKERS),--workers "$(WORKERS)")

lab: $(STAMP) ## Open the notebooks in JupyterLab
	"$(BIN)/jupyter" lab notebooks $(if $(filter 0,$(shell id -u)),--allow-root --no-browser)

site: $(STAMP) ## Build the site of the finished run in OUT into OUT/site; runs no notebook
	"$(BIN)/python" -m compendium.site --out "$(OUT)" --target "$(OUT)/site"

workshop: $(STAMP) ## Write the participants' notebooks into ROOM, all or those of a SYLLABUS
	"$(BIN)/python" -m compendium.workshop.handout --out "$(ROOM)" $(if $(SYLLABUS),--syllabus "$(SYLLABUS)")

test: lint ## Check style, notebooks and units, then run every notebook in smoke
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 "$(BIN)/python" -m pytest -n "$(JOBS)" --dist loadfile </dev/null

bench: $(STAMP) ## Measure the kernels beside their peers, as ratios; some minutes on an idle machine
	"$(BIN)/python" kernels/bench --threads "$(JOBS)"

card: ## On a machine with an NVIDIA GPU: measure the kernels, then run the study on PACK (docs/card.md)
	@[ -f "$(PACK)/splits.npz" ] || { echo "make: PACK= has to name a folder made by: python -m compendium.card.pack" \
		"(see docs/card.md)" >&2; exit 1; }
	@$(CARD_PYTHON) -c 'import cupy, numba, threadpoolctl, PIL, timm, torch; assert torch.cuda.is_available()' || { echo "make:" \
		"$(CARD_PYTHON) needs an NVIDIA GPU and the packages named in docs/card.md; name another by PYTHON=" >&2; exit 1; }
	PYTHONPATH=kernels $(CARD_PYTHON) kernels/bench/card.py "$(OUT)/card"
	PYTHONPATH=lib $(CARD_PYTHON) -P lib/compendium/card/study.py --pack "$(PACK)" --out "$(OUT)/card" --minutes $(MINUTES)

lint: $(STAMP) ## Check style, and that no notebook holds outputs
	"$(BIN)/ruff" check
	"$(BIN)/ruff" format --check
	$(NOTEBOOKS) $(NBSTRIPOUT) --verify {} +

format: $(STAMP) ## Mend style and empty the notebooks
	$(NOTEBOOKS) $(NBSTRIPOUT) {} +
	"$(BIN)/ruff" check --fix
	"$(BIN)/ruff" format

lock: $(STAMP) ## Write requirements.lock again from pyproject.toml; UPGRADE=1 takes newer versions
	"$(BIN)/uv" pip compile --quiet --no-config --universal --python-version 3.11 --fork-strategy fewest --extra dev \
		--generate-hashes --no-annotate --custom-compile-command "make lock" $(if $(UPGRADE),--upgrade) \
		--output-file requirements.lock pyproject.toml

clean: ## Remove .venv and caches; results in OUT are kept
	rm -rf "$(VENV)" build dist .pytest_cache .ruff_cache .hypothesis
	find lib kernels tests notebooks -name __pycache__ -prune -exec rm -rf {} +

# 1. A virtual environment with a working pip, made by the first Python that fits; made anew if it was cut off.
# 2. Packages that were cut off while being copied have no RECORD yet: forget them, so that pip copies them again.
# 3. The locked packages, hashes checked; then this project itself, editable.
CANDIDATES := $(or $(PYTHON),python3.13 python3.12 python3.11 python3)
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))
OURS := import sys; sys.exit(sys.prefix == sys.base_prefix or not (3, 11) <= sys.version_info[:2] < (3, 14))
VENV_PACKAGE := import sys; print("python%d.%d-venv" % sys.version_info[:2])

$(STAMP):
	@rm -f "$(VENV)"/installed-*
	@if ! "$(BIN)/python" -c 'import pip; $(OURS)' >/dev/null 2>&1; then \
		found=; chosen=; \
		for candidate in $(CANDIDATES); do \
			"$$candidate" -c '$(FITS)' >/dev/null 2>&1 || continue; \
			found=$$candidate; \
			if "$$candidate" -c 'import venv, ensurepip' >/dev/null 2>&1; then chosen=$$candidate; break; fi; \
		done; \
		if [ -z "$$found" ]; then \
			echo "make: no working Python 3.11, 3.12 or 3.13 (tried: $(CANDIDATES)); install one" \
				"(sudo apt-get install python3-venv) or name it (make PYTHON=/path/to/python3.12)" >&2; exit 1; \
		elif [ -z "$$chosen" ]; then \
			echo "make: $$found can't make a virtual environment; run:" \
				"sudo apt-get install $$("$$found" -c '$(VENV_PACKAGE)')" >&2; exit 1; \
		fi; \
		echo "Making $(VENV) with $$("$$chosen" --version) ($$chosen)"; \
		"$$chosen" -m venv --clear "$(VENV)" || exit 1; \
	fi
	@for folder in "$(VENV)"/lib/python3*/site-packages/*.dist-info; do \
		if [ -d "$$folder" ] && [ ! -f "$$folder/RECORD" ]; then rm -rf "$$folder"; fi; \
	done
	@echo "Installing the locked packages: about 6 GB on Linux, a few minutes the first time"
	@"$(BIN)/python" -m pip install $$([ -t 1 ] || echo -qq) --requirement requirements.lock
	@"$(BIN)/python" -m pip install -qq --no-deps --no-build-isolation --editable .
	@touch "$@"
