// Reads a scrape from standard input with Prometheus' own parser and prints it as JSON, one object a line: for each
// family its type, unit and help, for each series its labels, value, and exemplar's labels. The argument is the content
// type that the scrape came with. Prometheus drops a series that it sees twice; here that is an error.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
)

type line struct {
	Family   string            `json:"family,omitempty"`
	Type     string            `json:"type,omitempty"`
	Unit     string            `json:"unit,omitempty"`
	Help     string            `json:"help,omitempty"`
	Series   string            `json:"series,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
	Value    string            `json:"value,omitempty"`
	Exemplar map[string]string `json:"exemplar,omitempty"`
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "openmetrics:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: openmetrics CONTENT-TYPE <SCRAPE")
	}
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	parser, err := textparse.New(text, args[0], nil, textparse.ParserOptions{})
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	seen := map[string]bool{}
	for {
		line, err := next(parser)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if key := line.Series + labels.FromMap(line.Labels).String(); line.Series != "" {
			if seen[key] {
				return fmt.Errorf("%s is there twice", key)
			}
			seen[key] = true
		}
		if err := out.Encode(line); err != nil {
			return err
		}
	}
}

func next(parser textparse.Parser) (line, error) {
	entry, err := parser.Next()
	if err != nil {
		return line{}, err
	}
	switch entry {
	case textparse.EntryType:
		name, kind := parser.Type()
		return line{Family: string(name), Type: string(kind)}, nil
	case textparse.EntryUnit:
		name, unit := parser.Unit()
		return line{Family: string(name), Unit: string(unit)}, nil
	case textparse.EntryHelp:
		name, help := parser.Help()
		return line{Family: string(name), Help: string(help)}, nil
	case textparse.EntrySeries:
		return series(parser), nil
	default:
		return line{}, fmt.Errorf("an entry of kind %d", entry)
	}
}

func series(parser textparse.Parser) line {
	_, _, value := parser.Series()
	var all labels.Labels
	parser.Labels(&all)
	found := line{Series: all.Get(labels.MetricName), Labels: all.MatchLabels(false, labels.MetricName).Map()}
	found.Value = fmt.Sprint(value)
	if value == math.Trunc(value) && math.Abs(value) < 1e15 {
		found.Value = fmt.Sprintf("%.0f", value)
	}
	var sample exemplar.Exemplar
	if parser.Exemplar(&sample) {
		found.Exemplar = sample.Labels.Map()
	}
	return found
}
