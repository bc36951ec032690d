.DEFAULT_GOAL := help
.PHONY: help demo test generate
SHELL := bash

help: ## what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## a real API server, a fake IAM, the operator: watch a token being kept alive (KEEP=1 leaves it running)
	@hack/demo

test: ## everything that CI checks
	@hack/test

generate: ## files that are made from others
	UPDATE=1 cargo test --quiet --lib crd_is_current
