package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"path"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// file is a file of a tar archive; its folders come with it.
type file struct {
	name    string
	mode    int64
	content []byte
}

func newLayer(files []file, when time.Time) (v1.Layer, error) {
	var packed bytes.Buffer
	if err := writeTar(&packed, files, when); err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed.Bytes())), nil }
	return tarball.LayerFromOpener(open,
		tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(gzip.BestCompression))
}

// writeTar writes the files in their order, as root's and all of one time.
func writeTar(out io.Writer, files []file, when time.Time) error {
	archive := tar.NewWriter(out)
	made := map[string]bool{".": true}
	for _, file := range files {
		if err := writeFolders(archive, path.Dir(file.name), when, made); err != nil {
			return err
		}
		header := &tar.Header{Name: file.name, Mode: file.mode, Size: int64(len(file.content)), ModTime: when}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := archive.Write(file.content); err != nil {
			return err
		}
	}
	return archive.Close()
}

func writeFolders(archive *tar.Writer, folder string, when time.Time, made map[string]bool) error {
	if made[folder] {
		return nil
	}
	if err := writeFolders(archive, path.Dir(folder), when, made); err != nil {
		return err
	}
	made[folder] = true
	name := strings.TrimSuffix(folder, "/") + "/"
	return archive.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755, ModTime: when})
}
