package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

const whole = `{"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
	"metadata": {"component": {"type": "application", "bom-ref": "p", "name": "program", "version": "0.1.0"}},
	"components": [
		{"type": "library", "bom-ref": "a", "name": "linked", "version": "1.0.0"},
		{"type": "library", "bom-ref": "b", "name": "macro", "version": "2.0.0"},
		{"type": "library", "bom-ref": "c", "name": "linked", "version": "3.0.0"}],
	"dependencies": [
		{"ref": "p", "dependsOn": ["a", "b"]},
		{"ref": "a", "dependsOn": ["c"]}, {"ref": "b", "dependsOn": ["c"]}, {"ref": "c"}]}`

func list(t *testing.T, crates string) (*cdx.BOM, error) {
	t.Helper()
	var out bytes.Buffer
	if err := narrow(strings.NewReader(whole), crates, &out, beside("1.95.0", "0.17.1", "v0.0.1")); err != nil {
		return nil, err
	}
	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(&out, cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	return &bom, nil
}

func TestWhatIsLinkedAndBesideItIsListed(t *testing.T) {
	bom, err := list(t, "program v0.1.0 (/somewhere)\nlinked v1.0.0\nlinked v1.0.0 (*)\nlinked v3.0.0\n")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, component := range *bom.Components {
		names = append(names, component.Name+" "+component.Version)
	}
	want := []string{"linked 1.0.0", "linked 3.0.0", "rust-std 1.95.0", "zig-libc 0.17.1", "ca-roots v0.0.1"}
	if !slices.Equal(names, want) {
		t.Errorf("%q", names)
	}
	for _, dependency := range *bom.Dependencies {
		if dependency.Ref == "b" || dependency.Dependencies != nil && slices.Contains(*dependency.Dependencies, "b") {
			t.Errorf("%+v", dependency)
		}
	}
}

func TestAGapIsAnError(t *testing.T) {
	for crates, why := range map[string]string{
		"linked v1.0.0\nunknown v1.0.0\n": "unknown v1.0.0",
		"":                                "no crate",
		"error: no such target\n":         "not NAME vVERSION",
	} {
		if _, err := list(t, crates); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %v", crates, err)
		}
	}
}
