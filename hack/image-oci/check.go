package main

import (
	"bytes"
	"debug/elf"
	"fmt"
)

// machines are the architectures that an image can be made for, as ELF and as OCI name them.
var machines = map[elf.Machine]string{
	elf.EM_X86_64:  "amd64",
	elf.EM_AARCH64: "arm64",
}

// checkBinary tells whether a program can run in an image that holds nothing else.
func checkBinary(binary []byte, architecture string) error {
	program, err := elf.NewFile(bytes.NewReader(binary))
	if err != nil {
		return fmt.Errorf("no program for Linux: %w", err)
	}
	if machine := machines[program.Machine]; machine != architecture {
		return fmt.Errorf("built for %s, not for %s", program.Machine, architecture)
	}
	for _, part := range program.Progs {
		if part.Type == elf.PT_INTERP {
			return fmt.Errorf("not static: it needs a dynamic loader, and the image has none")
		}
	}
	if libraries, err := program.ImportedLibraries(); err != nil || len(libraries) > 0 {
		return fmt.Errorf("not static: it needs %v (%v)", libraries, err)
	}
	return nil
}
