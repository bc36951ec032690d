package main

import (
	"archive/tar"
	"bytes"
	"crypto/x509"
	"debug/elf"
	"encoding/binary"
	"encoding/pem"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

const created = 1_700_000_000

// program writes the least that is an ELF program for a machine, with one segment of a type.
func fakeProgram(t *testing.T, machine elf.Machine, segment elf.ProgType) string {
	t.Helper()
	header := elf.Header64{
		Type: uint16(elf.ET_DYN), Machine: uint16(machine), Version: 1,
		Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1, Shentsize: 64,
	}
	copy(header.Ident[:], []byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), 1})
	var out bytes.Buffer
	for _, part := range []any{header, elf.Prog64{Type: uint32(segment)}} {
		if err := binary.Write(&out, binary.LittleEndian, part); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "iam-token-operator")
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func amd64(t *testing.T) string { return "amd64=" + fakeProgram(t, elf.EM_X86_64, elf.PT_LOAD) }
func arm64(t *testing.T) string { return "arm64=" + fakeProgram(t, elf.EM_AARCH64, elf.PT_LOAD) }

// pack runs the program and returns the archive's path and what was printed.
func pack(t *testing.T, binaries ...string) (string, string) {
	t.Helper()
	archive := filepath.Join(t.TempDir(), "image.tar")
	var out bytes.Buffer
	args := []string{"-ref", "iam-token-operator:0.1.0", "-version", "0.1.0", "-revision", "abc", "-licenses", "Apache-2.0",
		"-created", "1700000000", "-o", archive}
	if err := run(append(args, binaries...), &out); err != nil {
		t.Fatal(err)
	}
	return archive, out.String()
}

type entry struct {
	header  *tar.Header
	content []byte
}

func entries(t *testing.T, in io.Reader) []entry {
	t.Helper()
	var all []entry
	for archive := tar.NewReader(in); ; {
		header, err := archive.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, entry{header, content})
	}
}

// unpacked reads an archive as the OCI layout that it is, and returns what its index.json lists.
func unpacked(t *testing.T, archive string) (layout.Path, v1.Descriptor) {
	t.Helper()
	in, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	folder := t.TempDir()
	for _, entry := range entries(t, in) {
		path := filepath.Join(folder, entry.header.Name)
		if entry.header.Typeflag == tar.TypeDir {
			err = os.Mkdir(path, 0o700)
		} else {
			err = os.WriteFile(path, entry.content, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	oci, err := layout.FromPath(folder)
	if err != nil {
		t.Fatal(err)
	}
	index, err := oci.ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil || len(manifest.Manifests) != 1 {
		t.Fatalf("%v %v", manifest, err)
	}
	return oci, manifest.Manifests[0]
}

func images(t *testing.T, archive string) []v1.Image {
	t.Helper()
	oci, top := unpacked(t, archive)
	list, err := oci.ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	list, err = list.ImageIndex(top.Digest)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := list.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var all []v1.Image
	for _, descriptor := range manifest.Manifests {
		image, err := list.Image(descriptor.Digest)
		if err != nil {
			t.Fatal(err)
		}
		config, err := image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if got := descriptor.Platform.String(); got != config.OS+"/"+config.Architecture {
			t.Errorf("the index says %s, the image %s/%s", got, config.OS, config.Architecture)
		}
		all = append(all, image)
	}
	return all
}

func TestTheSameInputGivesTheSameBytes(t *testing.T) {
	one, _ := pack(t, amd64(t), arm64(t))
	two, _ := pack(t, amd64(t), arm64(t))
	first, err1 := os.ReadFile(one)
	second, err2 := os.ReadFile(two)
	if err1 != nil || err2 != nil || !bytes.Equal(first, second) {
		t.Fatalf("%s and %s differ (%v, %v)", one, two, err1, err2)
	}
}

func TestTheArchiveNamesItsImage(t *testing.T) {
	archive, printed := pack(t, amd64(t), arm64(t))
	_, top := unpacked(t, archive)
	if got := top.Annotations["org.opencontainers.image.ref.name"]; got != "iam-token-operator:0.1.0" {
		t.Errorf("named %q", got)
	}
	if got := top.Annotations["io.containerd.image.name"]; !strings.HasSuffix(got, "/library/iam-token-operator:0.1.0") {
		t.Errorf("named %q for containerd", got)
	}
	if !strings.Contains(printed, top.Digest.String()) {
		t.Errorf("digest %s is not in:\n%s", top.Digest, printed)
	}
	if len(images(t, archive)) != 2 {
		t.Error("not two architectures")
	}
}

func TestAnImageHoldsTheProgramAndRootsOnly(t *testing.T) {
	archive, _ := pack(t, amd64(t), arm64(t))
	for _, image := range images(t, archive) {
		layers, err := image.Layers()
		if err != nil || len(layers) != 1 {
			t.Fatalf("%v %v", layers, err)
		}
		content, err := layers[0].Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, entry := range entries(t, content) {
			names = append(names, entry.header.Name)
			want := int64(0o644)
			if strings.HasSuffix(entry.header.Name, "/") || entry.header.Name == "iam-token-operator" {
				want = 0o755
			}
			h := entry.header
			if h.Mode != want || h.Uid != 0 || h.Gid != 0 || !h.ModTime.Equal(time.Unix(created, 0)) {
				t.Errorf("%+v", h)
			}
		}
		want := []string{"etc/", "etc/ssl/", "etc/ssl/certs/", "etc/ssl/certs/ca-certificates.crt", "iam-token-operator"}
		if !slices.Equal(names, want) {
			t.Errorf("holds %v", names)
		}
	}
}

func TestAnImageRunsAsNobody(t *testing.T) {
	archive, _ := pack(t, arm64(t))
	for _, image := range images(t, archive) {
		config, err := image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if config.Config.User != "65532:65532" || !slices.Equal(config.Config.Entrypoint, []string{"/iam-token-operator"}) {
			t.Errorf("%+v", config.Config)
		}
		manifest, err := image.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{
			"title": "iam-token-operator", "version": "0.1.0", "revision": "abc", "licenses": "Apache-2.0",
			"created": "2023-11-14T22:13:20Z", "source": "",
		} {
			name = "org.opencontainers.image." + name
			for _, got := range []map[string]string{config.Config.Labels, manifest.Annotations} {
				if value, there := got[name]; value != want || there != (want != "") {
					t.Errorf("%s: %q, not %q", name, value, want)
				}
			}
		}
	}
}

func TestWhatCannotRunIsRefused(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("no program"), 0o600); err != nil {
		t.Fatal(err)
	}
	for why, binary := range map[string]string{
		"not static":      "amd64=" + fakeProgram(t, elf.EM_X86_64, elf.PT_INTERP),
		"built for":       "arm64=" + fakeProgram(t, elf.EM_X86_64, elf.PT_LOAD),
		"no program":      "amd64=" + text,
		"no such file":    "amd64=" + text + "-nowhere",
		"is not ARCHITEC": text,
	} {
		archive := filepath.Join(t.TempDir(), "image.tar")
		err := run([]string{"-ref", "a:1", "-o", archive, binary}, io.Discard)
		if err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", binary, err)
		}
		if _, err := os.Stat(archive); err == nil {
			t.Errorf("%s: an archive was written", binary)
		}
	}
}

func TestANameNeedsATag(t *testing.T) {
	for _, ref := range []string{"iam-token-operator", "Upper:1", ""} {
		if err := run([]string{"-ref", ref, "-o", filepath.Join(t.TempDir(), "x"), amd64(t)}, io.Discard); err == nil {
			t.Errorf("%q was taken", ref)
		}
	}
}

func TestTheRootsAreMozillas(t *testing.T) {
	found := map[string]bool{}
	for rest := roots(); ; {
		block, more := pem.Decode(rest)
		if block == nil {
			break
		}
		root, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		found[root.Subject.CommonName] = true
		rest = more
	}
	if len(found) < 100 || !found["DigiCert Global Root G2"] || !found["ISRG Root X1"] {
		t.Errorf("%d roots: %v", len(found), found)
	}
}
