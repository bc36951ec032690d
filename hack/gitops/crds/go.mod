// Whose CRDs the examples in docs/examples/gitops are held against. Nothing here is built.
module iamtoken.dev/hack/gitops/crds

go 1.26.8

require (
	github.com/argoproj/argo-cd/v3 v3.5.7
	github.com/external-secrets/external-secrets v1.3.2
	github.com/fluxcd/helm-controller v1.6.4
	github.com/fluxcd/kustomize-controller v1.9.6
	github.com/fluxcd/source-controller v1.9.6
)
