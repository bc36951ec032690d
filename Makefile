.DEFAULT_GOAL := help
.PHONY: help audit bench chaos chart-test demo e2e fuzz image picture record simulate test generate
SHELL := bash

help: ## what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## a real API server, a fake IAM, the operator: watch a token being kept alive (KEEP=1 leaves it running)
	@hack/demo

chaos: ## kill, stop and cut off everything while a reader looks for an expired token (SEED=n, ONLY=scenario)
	@hack/chaos

e2e: ## the chart and the image on the cluster of KUBECONFIG, with pods that use a token (LIFETIME=seconds, KEEP=1)
	@hack/e2e

image: ## the image for amd64 and arm64 as an OCI archive, with an SBOM, in target/image (needs no container engine)
	@hack/image

record: ## docs/cli.svg: kubectl iamtoken against a real API server and a fake IAM
	@hack/record

picture: ## docs/dashboard.svg: the Grafana dashboard as it looks at the end of the demo
	@hack/monitoring/dashboard/draw

bench: ## how near the operator is to what the API server and IAM take by themselves (ONLY=part, SIZE=percent, DOCS=1)
	@hack/bench

fuzz: ## drawn bytes for all that reads what others wrote (TIME=seconds for each, ONLY=target)
	@hack/fuzz

audit: ## licences, sources, advisories and use of the dependencies
	@hack/audit

simulate: ## the controller in many simulated worlds, each drawn from a seed (SEEDS=n, FROM=seed, TRACE=1)
	@hack/simulate

test: ## everything that CI checks
	@hack/test

chart-test: ## the chart, by the real helm and on a real API server
	cargo test --test chart

generate: ## files that are made from others
	UPDATE=1 cargo test --quiet --lib crd_is_current
	go -C hack/monitoring run ./dashboard json >charts/iam-token-operator/files/dashboard.json
	UPDATE=1 cargo test --quiet --test chart -- generated_files_are_current what_is_rendered_is_as_committed
