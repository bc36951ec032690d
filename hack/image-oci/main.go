// Program image-oci puts static binaries, one an architecture, and CA roots
// into an image and writes it as an OCI archive. The same input gives the same
// bytes.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// about is what is said of an image beside what it holds.
type about struct {
	ref         string
	description string
	licenses    string
	revision    string
	source      string
	version     string
	created     time.Time
}

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "image-oci: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	var what about
	flags := flag.NewFlagSet("image-oci", flag.ContinueOnError)
	flags.StringVar(&what.ref, "ref", "", "name and tag of the image")
	flags.StringVar(&what.description, "description", "", "what it is, in a sentence")
	flags.StringVar(&what.licenses, "licenses", "", "SPDX expression")
	flags.StringVar(&what.revision, "revision", "", "commit that it is built from")
	flags.StringVar(&what.source, "source", "", "URL of its source, if it has one")
	flags.StringVar(&what.version, "version", "", "version of the program")
	created := flags.Int64("created", 0, "its time, in seconds since 1970")
	archive := flags.String("o", "", "the archive to write")
	if err := flags.Parse(args); err != nil {
		return err
	}
	what.created = time.Unix(*created, 0).UTC()
	if what.ref == "" || *archive == "" || flags.NArg() == 0 {
		return fmt.Errorf("usage: image-oci -ref NAME:TAG -o FILE [flags] ARCHITECTURE=BINARY...")
	}

	index, err := newIndex(what)
	if err != nil {
		return err
	}
	for _, arg := range flags.Args() {
		architecture, path, ok := strings.Cut(arg, "=")
		if !ok {
			return fmt.Errorf("%q is not ARCHITECTURE=BINARY", arg)
		}
		if err := index.add(architecture, path, out); err != nil {
			return err
		}
	}
	digest, err := index.write(*archive)
	if err != nil {
		return err
	}
	return report(out, what.ref, *archive, digest)
}

func report(out io.Writer, ref, archive string, digest v1.Hash) error {
	info, err := os.Stat(archive)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s  %s\n%s  %s\n", ref, digest, archive, mebibytes(info.Size()))
	return err
}

func mebibytes(size int64) string { return fmt.Sprintf("%.2f MiB", float64(size)/(1<<20)) }
