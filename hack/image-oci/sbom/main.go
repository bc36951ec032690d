// Program sbom makes of cargo-cyclonedx' list, which has every crate that takes
// part in the build, the list of what is in the image: the crates that are
// linked, and what is there beside them.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

func main() {
	linked := flag.String("linked", "", "a file with a crate a line, NAME vVERSION, as cargo tree lists those that are linked")
	rustc := flag.String("rustc", "", "version of the standard library")
	zig := flag.String("zig", "", "version of Zig, whose C library is linked")
	roots := flag.String("roots", "", "version of the CA roots' module")
	flag.Parse()
	crates, err := os.ReadFile(*linked)
	if err == nil {
		err = narrow(os.Stdin, string(crates), os.Stdout, beside(*rustc, *zig, *roots))
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "sbom: %v\n", err)
		os.Exit(1)
	}
}

// beside is what is in the image and is no crate that cargo knows.
func beside(rustc, zig, roots string) []cdx.Component {
	component := func(kind cdx.ComponentType, name, version, about, license, purl string) cdx.Component {
		purl = fmt.Sprintf("pkg:%s@%s", purl, version)
		return cdx.Component{
			BOMRef: purl, Type: kind, Name: name, Version: version, Description: about, PackageURL: purl,
			Licenses: &cdx.Licenses{{Expression: license}},
		}
	}
	return []cdx.Component{
		component(cdx.ComponentTypeLibrary, "rust-std", rustc, "the standard library of Rust",
			"MIT OR Apache-2.0", "generic/rust-std"),
		component(cdx.ComponentTypeLibrary, "zig-libc", zig, "musl, libunwind and compiler-rt as Zig has them",
			"MIT AND Apache-2.0 WITH LLVM-exception", "generic/zig-libc"),
		component(cdx.ComponentTypeData, "ca-roots", roots, "the CAs that Mozilla trusts",
			"MPL-2.0", "golang/golang.org/x/crypto/x509roots/fallback"),
	}
}

// narrow leaves of a list only the crates that are named, and adds what is beside them.
func narrow(in io.Reader, crates string, out io.Writer, beside []cdx.Component) error {
	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(in, cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		return err
	}
	if bom.Metadata == nil || bom.Metadata.Component == nil || bom.Components == nil || bom.Dependencies == nil {
		return fmt.Errorf("the list that came in describes no program with components and dependencies")
	}
	program := bom.Metadata.Component
	wanted, err := parse(crates)
	if err != nil {
		return err
	}
	delete(wanted, program.Name+" v"+program.Version)

	kept := map[string]bool{program.BOMRef: true}
	var components []cdx.Component
	for _, component := range *bom.Components {
		name := component.Name + " v" + component.Version
		if wanted[name] {
			kept[component.BOMRef] = true
			components = append(components, component)
			delete(wanted, name)
		}
	}
	for name := range wanted {
		return fmt.Errorf("%s is linked, and is not in the list that came in", name)
	}
	dependencies := among(kept, *bom.Dependencies)
	components = append(components, beside...)
	bom.Components, bom.Dependencies = &components, &dependencies
	return cdx.NewBOMEncoder(out, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(&bom, cdx.SpecVersion1_5)
}

// parse reads lines such as "serde v1.0.0 (*)"; what follows the version does not matter.
func parse(crates string) (map[string]bool, error) {
	names := map[string]bool{}
	for lines := bufio.NewScanner(strings.NewReader(crates)); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) < 2 || !strings.HasPrefix(words[1], "v") {
			return nil, fmt.Errorf("%q is not NAME vVERSION", lines.Text())
		}
		names[words[0]+" "+words[1]] = true
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("no crate is named")
	}
	return names, nil
}

// among leaves only what is between those that are kept.
func among(kept map[string]bool, all []cdx.Dependency) []cdx.Dependency {
	var left []cdx.Dependency
	for _, dependency := range all {
		if !kept[dependency.Ref] {
			continue
		}
		var on []string
		if dependency.Dependencies != nil {
			for _, ref := range *dependency.Dependencies {
				if kept[ref] {
					on = append(on, ref)
				}
			}
		}
		left = append(left, cdx.Dependency{Ref: dependency.Ref, Dependencies: &on})
	}
	return left
}
