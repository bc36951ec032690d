// Command gitops says of Kubernetes objects what GitOps tools say of their health: Argo CD by a health check in Lua,
// kstatus by its own rules, and Flux by the health check expressions of a Kustomization.
//
//	gitops HEALTH.LUA KUSTOMIZATION.YAML <objects >answers
//
// Objects and answers are JSON, one a line. It is a tool for tests.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// longestLine is more than an object of the API server can be, in bytes.
const longestLine = 4 << 20

// Health is what one tool says.
type Health struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

// Answer is what they all say of one object.
type Answer struct {
	Argo    Health `json:"argo"`
	Kstatus Health `json:"kstatus"`
	Flux    Health `json:"flux"`
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: gitops HEALTH.LUA KUSTOMIZATION.YAML <objects >answers")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "gitops:", err)
		os.Exit(1)
	}
}

func run(luaPath, kustomizationPath string) error {
	argo, err := argoCheck(luaPath)
	if err != nil {
		return err
	}
	flux, err := fluxCheck(kustomizationPath)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, longestLine)
	answers := json.NewEncoder(os.Stdout)
	for number := 1; lines.Scan(); number++ {
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(lines.Bytes()); err != nil {
			return fmt.Errorf("line %d of standard input is no object: %w", number, err)
		}
		answer, err := ask(object, argo, flux)
		if err != nil {
			return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
		if err := answers.Encode(answer); err != nil {
			return err
		}
	}
	return lines.Err()
}

// check is what one tool thinks of an object.
type check func(*unstructured.Unstructured) (Health, error)

func ask(object *unstructured.Unstructured, argo, flux check) (answer Answer, err error) {
	if answer.Argo, err = argo(object); err != nil {
		return answer, err
	}
	if answer.Kstatus, err = kstatusCheck(object); err != nil {
		return answer, err
	}
	answer.Flux, err = flux(object)
	return answer, err
}

// kstatusCheck is what `flux`, `kpt` and others say who have no rules of their own for a kind.
func kstatusCheck(object *unstructured.Unstructured) (Health, error) {
	result, err := status.Compute(object)
	if err != nil {
		return Health{}, fmt.Errorf("kstatus: %w", err)
	}
	return Health{Status: result.Status.String(), Message: result.Message}, nil
}
