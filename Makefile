# The commands of every day. `make` lists them; README.md says which two a newcomer needs.
MINUTES ?= 10
JOBS ?= $(shell nproc)

.DEFAULT_GOAL := help
.PHONY: help setup build demo test bench learn fuzz format lint clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install the Debian packages that building, testing and benchmarking need
	@scripts/setup

build: ## the optimised programs, in build/release/bin
	@scripts/setup build
	@cmake --preset release
	@cmake --build --preset release -j $(JOBS) --target programs

demo: build ## make a retail support specialist end to end, and compare it with its base
	@build/release/bin/metier run recipes/retail-support.yaml
	@echo '  with the shop behind it: add --tool-program "build/release/bin/retail_shop desk --db runs/retail-support/shop/shop.db"'

test: ## every check and every test, with AddressSanitizer and UndefinedBehaviorSanitizer
	@scripts/setup
	@scripts/test

bench: ## speed of this machine on the kernels and the engine
	@scripts/setup
	@scripts/bench

learn: build ## do the methods do what they claim? every experiment of learn/ with three seeds (hours)
	@scripts/setup
	@scripts/learn

fuzz: ## every fuzz target for MINUTES=10 each; findings go to fuzz/corpus
	@scripts/setup
	@scripts/fuzz $(MINUTES)

format: ## rewrite the C++ files as clang-format 14 has them
	@scripts/check_format.sh --fix

lint: ## the checks of `make test` that compile nothing but what clang-tidy reads
	@scripts/setup
	@scripts/lint

clean: ## remove what was built (runs/ and the compiler cache stay)
	rm -rf build
