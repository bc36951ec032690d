.PHONY: demo test generate
SHELL := bash

demo: ## a real API server, a fake IAM, the operator: watch a token being kept alive
	@hack/demo

test: ## everything that CI checks
	@hack/test

generate: ## files that are made from others
	UPDATE=1 cargo test --quiet --lib crd_is_current
