.DEFAULT_GOAL := help
.PHONY: help chaos demo simulate test generate
SHELL := bash

help: ## what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## a real API server, a fake IAM, the operator: watch a token being kept alive (KEEP=1 leaves it running)
	@hack/demo

chaos: ## kill, stop and cut off everything while a reader looks for an expired token (SEED=n, ONLY=scenario)
	@hack/chaos

simulate: ## the controller in many simulated worlds, each drawn from a seed (SEEDS=n, FROM=seed, TRACE=1)
	@hack/simulate

test: ## everything that CI checks
	@hack/test

generate: ## files that are made from others
	UPDATE=1 cargo test --quiet --lib crd_is_current
