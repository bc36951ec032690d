package main

import (
	"io/fs"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// write makes an OCI layout that holds the index, as one tar archive, and
// returns the index' digest.
func (i *index) write(archive string) (v1.Hash, error) {
	folder, err := os.MkdirTemp(filepath.Dir(archive), ".layout-")
	if err != nil {
		return v1.Hash{}, err
	}
	defer os.RemoveAll(folder)
	oci, err := layout.Write(folder, empty.Index)
	if err != nil {
		return v1.Hash{}, err
	}
	if err := oci.AppendIndex(i.images, layout.WithAnnotations(i.names)); err != nil {
		return v1.Hash{}, err
	}
	if err := i.pack(folder, archive); err != nil {
		return v1.Hash{}, err
	}
	return i.images.Digest()
}

func (i *index) pack(folder, archive string) error {
	files, err := filesOf(folder)
	if err != nil {
		return err
	}
	out, err := os.Create(archive)
	if err != nil {
		return err
	}
	if err := writeTar(out, files, i.about.created); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}

// filesOf reads what a folder holds, sorted by name.
func filesOf(folder string) ([]file, error) {
	var files []file
	root := os.DirFS(folder)
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(root, name)
		files = append(files, file{name, 0o644, content})
		return err
	})
	return files, err
}
