package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"

	"github.com/distribution/reference"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	// user is the unprivileged one that "nonroot" images agree on. There is no
	// /etc/passwd, so it has no name.
	user = "65532:65532"
)

// index is an image for more than one architecture, while it is put together.
type index struct {
	about  about
	labels map[string]string
	names  map[string]string
	images v1.ImageIndex
}

func newIndex(what about) (*index, error) {
	full, err := reference.ParseNormalizedNamed(what.ref)
	if err != nil {
		return nil, fmt.Errorf("%q is no name of an image: %w", what.ref, err)
	}
	if !reference.IsNameOnly(full) {
		labels := what.labels()
		images := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
		images = mutate.Annotations(images, labels).(v1.ImageIndex)
		// The first is OCI's, the second what containerd and docker look for.
		names := map[string]string{
			"org.opencontainers.image.ref.name": what.ref,
			"io.containerd.image.name":          full.String(),
		}
		return &index{what, labels, names, images}, nil
	}
	return nil, fmt.Errorf("%q has no tag: write it as NAME:TAG", what.ref)
}

// labels are those of the image's config, and the annotations of its manifests:
// some tools read the ones and some the others.
func (a about) labels() map[string]string {
	labels := map[string]string{
		"title":       "iam-token-operator",
		"description": a.description,
		"licenses":    a.licenses,
		"revision":    a.revision,
		"source":      a.source,
		"version":     a.version,
		"created":     a.created.Format("2006-01-02T15:04:05Z"),
	}
	maps.DeleteFunc(labels, func(_, value string) bool { return value == "" })
	full := make(map[string]string, len(labels))
	for name, value := range labels {
		full["org.opencontainers.image."+name] = value
	}
	return full
}

// add puts the image of one architecture into the index and says how large it is.
func (i *index) add(architecture, path string, out io.Writer) error {
	binary, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := checkBinary(binary, architecture); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	program := filepath.Base(path)
	files := []file{
		{"etc/ssl/certs/ca-certificates.crt", 0o644, roots()},
		{program, 0o755, binary},
	}
	image, err := i.image(architecture, program, files)
	if err != nil {
		return err
	}
	platform := &v1.Platform{OS: "linux", Architecture: architecture}
	i.images = mutate.AppendManifests(i.images, mutate.IndexAddendum{
		Add: image, Descriptor: v1.Descriptor{Platform: platform},
	})
	var unpacked int64
	for _, file := range files {
		unpacked += int64(len(file.content))
	}
	packed, err := imageSize(image)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "linux/%s  %s unpacked, %s packed\n", architecture, mebibytes(unpacked), mebibytes(packed))
	return err
}

func (i *index) image(architecture, program string, files []file) (v1.Image, error) {
	layer, err := newLayer(files, i.about.created)
	if err != nil {
		return nil, err
	}
	image := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	image = mutate.ConfigMediaType(image, types.OCIConfigJSON)
	created := v1.Time{Time: i.about.created}
	image, err = mutate.ConfigFile(image, &v1.ConfigFile{
		OS:           "linux",
		Architecture: architecture,
		Created:      created,
		Config: v1.Config{
			User:       user,
			Entrypoint: []string{"/" + program},
			WorkingDir: "/",
			Labels:     i.labels,
		},
	})
	if err != nil {
		return nil, err
	}
	image, err = mutate.Append(image, mutate.Addendum{
		Layer:   layer,
		History: v1.History{Created: created, CreatedBy: "hack/image"},
	})
	if err != nil {
		return nil, err
	}
	return mutate.Annotations(image, i.labels).(v1.Image), nil
}

func imageSize(image v1.Image) (int64, error) {
	manifest, err := image.Manifest()
	if err != nil {
		return 0, err
	}
	size := manifest.Config.Size
	for _, layer := range manifest.Layers {
		size += layer.Size
	}
	return size, nil
}
