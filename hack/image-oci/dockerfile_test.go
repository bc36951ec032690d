package main

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// operator is the path of the operator in an image.
const operator = "/iam-token-operator"

// stages are the instructions of the Dockerfile, one list for each FROM.
func stages(t *testing.T) [][]*parser.Node {
	t.Helper()
	in, err := os.Open("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	parsed, err := parser.Parse(in)
	if err != nil {
		t.Fatal(err)
	}
	var all [][]*parser.Node
	for _, node := range parsed.AST.Children {
		if strings.EqualFold(node.Value, "from") {
			all = append(all, nil)
		}
		if len(all) > 0 {
			all[len(all)-1] = append(all[len(all)-1], node)
		}
	}
	return all
}

// words are those that follow an instruction's name.
func words(node *parser.Node) []string {
	var all []string
	for next := node.Next; next != nil; next = next.Next {
		all = append(all, next.Value)
	}
	return all
}

func TestTheDockerfileMakesTheSameImage(t *testing.T) {
	all := stages(t)
	last := all[len(all)-1]
	var copied []string
	got := map[string][]string{}
	for _, node := range last {
		if strings.EqualFold(node.Value, "copy") {
			copied = append(copied, words(node)[1])
		}
		got[strings.ToLower(node.Value)] = words(node)
	}
	for name, want := range map[string]string{"from": "scratch", "user": user, "workdir": "/", "entrypoint": operator} {
		if !slices.Equal(got[name], []string{want}) {
			t.Errorf("%s is %q, not %q", name, got[name], want)
		}
	}
	if want := []string{"/etc/ssl/certs/ca-certificates.crt", operator}; !slices.Equal(copied, want) {
		t.Errorf("holds %q, not %q", copied, want)
	}
}

func TestTheDockerfilesRustIsNewEnough(t *testing.T) {
	manifest, err := os.ReadFile("../../Cargo.toml")
	if err != nil {
		t.Fatal(err)
	}
	least := regexp.MustCompile(`(?m)^rust-version = "(.+)"$`).FindSubmatch(manifest)
	image := words(stages(t)[0][0])[0]
	pinned := regexp.MustCompile(`/rust:([0-9]+\.[0-9]+\.[0-9]+)-`).FindStringSubmatch(image)
	if least == nil || pinned == nil {
		t.Fatalf("no rust-version in Cargo.toml, or no whole version in %q", image)
	}
	if slices.Compare(numbers(t, pinned[1]), numbers(t, string(least[1]))) < 0 {
		t.Errorf("the Dockerfile has Rust %s, and Cargo.toml wants %s", pinned[1], least[1])
	}
}

func numbers(t *testing.T, version string) []int {
	t.Helper()
	var all []int
	for word := range strings.SplitSeq(version, ".") {
		number, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, number)
	}
	return all
}
