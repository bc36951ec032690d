package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"iamtoken.dev/hack/monitoring/series"
)

const contentType = "application/openmetrics-text; version=1.0.0; charset=utf-8"

// What a Prometheus would have of one replica after these scrapes.
type scrapes struct {
	store      series.Store
	known      map[string]*series.Series // those of the store, by their labels
	begin, end time.Time
}

func read(path string) (*scrapes, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	found := &scrapes{known: map[string]*series.Series{}}
	for number, scrape := range strings.Split("\n"+string(text), "\n# at ")[1:] {
		seconds, body, _ := strings.Cut(scrape, "\n")
		at, err := strconv.ParseFloat(strings.TrimSpace(seconds), 64)
		if err != nil {
			return nil, fmt.Errorf("scrape %d: %w", number+1, err)
		}
		found.end = time.UnixMilli(int64(at * 1000))
		if found.begin.IsZero() {
			found.begin = found.end
		}
		if err := found.add(strings.TrimRight(body, "\n") + "\n"); err != nil {
			return nil, fmt.Errorf("scrape %d: %w", number+1, err)
		}
	}
	if found.begin.IsZero() {
		return nil, errors.New("there is no scrape in " + path)
	}
	return found, nil
}

// The last scrape.
func (scrapes *scrapes) add(body string) error {
	lines, err := textparse.New([]byte(body), contentType, nil, textparse.ParserOptions{})
	if err != nil {
		return err
	}
	for {
		entry, err := lines.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if entry != textparse.EntrySeries {
			continue
		}
		_, _, value := lines.Series()
		var own labels.Labels
		lines.Labels(&own)
		all := labels.NewBuilder(own).Set("job", name).Set("instance", "demo").Labels()
		one := scrapes.known[all.String()]
		if one == nil {
			one = &series.Series{Labels: all}
			scrapes.known[all.String()] = one
			scrapes.store = append(scrapes.store, one)
		}
		one.Samples = append(one.Samples, series.At(scrapes.end, value))
	}
}

// A line of a graph: its legend and its values at each step, with gaps.
type line struct {
	legend string
	points []point
}

type point struct {
	at    time.Time
	value float64
}

// What the query says from the first scrape to the last.
func (scrapes *scrapes) ask(query query) ([]line, error) {
	expr := strings.ReplaceAll(query.expr, "[5m]", "[15s]") // What is drawn lasts for a minute or so.
	step := max(scrapes.end.Sub(scrapes.begin)/240, time.Second)
	matrix, err := scrapes.store.Range(series.Engine(5*time.Second), expr, scrapes.begin, scrapes.end, step)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", query.expr, err)
	}
	found := []line{}
	for _, one := range matrix {
		points := []point{}
		for _, value := range one.Floats {
			if !math.IsNaN(value.F) {
				points = append(points, point{time.UnixMilli(value.T), value.F})
			}
		}
		if len(points) > 0 {
			found = append(found, line{legend(query.legend, one.Metric), points})
		}
	}
	return found, nil
}

func legend(format string, metric labels.Labels) string {
	metric.Range(func(label labels.Label) {
		format = strings.ReplaceAll(format, "{{"+label.Name+"}}", label.Value)
	})
	return format
}
