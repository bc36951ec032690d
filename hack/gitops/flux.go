package main

import (
	"context"
	"fmt"
	"os"

	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// kustomization is what is read here of a Kustomization of Flux.
type kustomization struct {
	Spec struct {
		HealthCheckExprs []kustomize.CustomHealthCheck `json:"healthCheckExprs"`
	} `json:"spec"`
}

// fluxCheck takes the one health check of the Kustomization in this file, and evaluates it as kustomize-controller does.
func fluxCheck(path string) (check, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var found kustomization
	if err := yaml.Unmarshal(text, &found); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(found.Spec.HealthCheckExprs) != 1 {
		return nil, fmt.Errorf("%s: %d entries of spec.healthCheckExprs, want one", path, len(found.Spec.HealthCheckExprs))
	}
	evaluator, err := cel.NewStatusEvaluator(&found.Spec.HealthCheckExprs[0].HealthCheckExpressions)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return func(object *unstructured.Unstructured) (Health, error) {
		result, err := evaluator.Evaluate(context.Background(), object)
		if err != nil {
			// The controller goes on waiting, with this as the reason.
			return Health{Status: "Unknown", Message: err.Error()}, nil
		}
		return Health{Status: result.Status.String(), Message: result.Message}, nil
	}, nil
}
