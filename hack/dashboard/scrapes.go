package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

const contentType = "application/openmetrics-text; version=1.0.0; charset=utf-8"

// What a Prometheus would have of one replica after these scrapes.
type scrapes struct {
	series     map[string]*series
	begin, end time.Time
	engine     *promql.Engine
}

type series struct {
	labels  labels.Labels
	samples []chunks.Sample
}

func read(path string) (*scrapes, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	language := parser.NewParser(parser.Options{})
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 50_000_000, Timeout: time.Minute, LookbackDelta: 5 * time.Second, Parser: language})
	found := &scrapes{series: map[string]*series{}, engine: engine}
	for number, scrape := range strings.Split("\n"+string(text), "\n# at ")[1:] {
		seconds, body, _ := strings.Cut(scrape, "\n")
		at, err := strconv.ParseFloat(strings.TrimSpace(seconds), 64)
		if err != nil {
			return nil, fmt.Errorf("scrape %d: %w", number+1, err)
		}
		when := time.UnixMilli(int64(at * 1000))
		if found.begin.IsZero() {
			found.begin = when
		}
		found.end = when
		if err := found.add(strings.TrimRight(body, "\n")+"\n", when); err != nil {
			return nil, fmt.Errorf("scrape %d: %w", number+1, err)
		}
	}
	if found.begin.IsZero() {
		return nil, errors.New("there is no scrape in " + path)
	}
	return found, nil
}

func (scrapes *scrapes) add(body string, at time.Time) error {
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
		var all labels.Labels
		lines.Labels(&all)
		builder := labels.NewBuilder(all)
		builder.Set("job", name)
		builder.Set("instance", "demo")
		all = builder.Labels()
		key := all.String()
		if scrapes.series[key] == nil {
			scrapes.series[key] = &series{labels: all}
		}
		scrapes.series[key].samples = append(scrapes.series[key].samples, sample{at.UnixMilli(), value})
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
	step := max(scrapes.end.Sub(scrapes.begin)/240, time.Second)
	expr := strings.ReplaceAll(query.expr, "[5m]", "[15s]") // What is drawn lasts for a minute or so.
	asked, err := scrapes.engine.NewRangeQuery(context.Background(), scrapes, nil, expr, scrapes.begin, scrapes.end, step)
	if err != nil {
		return nil, err
	}
	defer asked.Close()
	matrix, err := asked.Exec(context.Background()).Matrix()
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

func (scrapes *scrapes) Querier(int64, int64) (storage.Querier, error) {
	return &storage.MockQuerier{SelectMockFunction: scrapes.matching}, nil
}

func (scrapes *scrapes) matching(_ bool, hints *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	found := &seriesSet{at: -1}
	for _, series := range scrapes.series {
		if matches(series.labels, matchers) {
			found.series = append(found.series, storage.NewListSeries(series.labels, within(series.samples, hints)))
		}
	}
	return found
}

func matches(series labels.Labels, matchers []*labels.Matcher) bool {
	for _, matcher := range matchers {
		if !matcher.Matches(series.Get(matcher.Name)) {
			return false
		}
	}
	return true
}

func within(samples []chunks.Sample, hints *storage.SelectHints) []chunks.Sample {
	found := []chunks.Sample{}
	for _, sample := range samples {
		if sample.T() >= hints.Start && sample.T() <= hints.End {
			found = append(found, sample)
		}
	}
	return found
}

type seriesSet struct {
	series []storage.Series
	at     int
}

func (set *seriesSet) Next() bool                        { set.at++; return set.at < len(set.series) }
func (set *seriesSet) At() storage.Series                { return set.series[set.at] }
func (set *seriesSet) Err() error                        { return nil }
func (set *seriesSet) Warnings() annotations.Annotations { return nil }

type sample struct {
	time  int64
	value float64
}

func (sample sample) T() int64                      { return sample.time }
func (sample sample) ST() int64                     { return 0 }
func (sample sample) F() float64                    { return sample.value }
func (sample sample) H() *histogram.Histogram       { return nil }
func (sample sample) FH() *histogram.FloatHistogram { return nil }
func (sample sample) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (sample sample) Copy() chunks.Sample           { return sample }
