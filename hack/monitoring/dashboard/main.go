// Prints the dashboard as Grafana loads it, or draws it:
//
//	dashboard json
//	dashboard picture SCRAPES
//
// SCRAPES is a file of scrapes, each after a line `# at SECONDS` with the time since 1970. Both go to standard output.
package main

import (
	"errors"
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "dashboard:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	var out []byte
	var err error
	switch {
	case len(args) == 1 && args[0] == "json":
		out, err = dashboardJSON()
	case len(args) == 2 && args[0] == "picture":
		out, err = picture(args[1])
	default:
		err = errors.New("usage: dashboard json, or dashboard picture SCRAPES")
	}
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(out)
	return err
}
