// Package series is what a Prometheus would have after some scrapes, asked with Prometheus' own engine.
package series

import (
	"context"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

// Language is PromQL as Prometheus has it by default.
var Language = parser.NewParser(parser.Options{})

// Series has its samples in the order of time.
type Series struct {
	Labels  labels.Labels
	Samples []chunks.Sample
}

// Store is some series.
type Store []*Series

// Engine looks back for a sample no further than this; for 0, as far as Prometheus does by default.
func Engine(lookback time.Duration) *promql.Engine {
	return promql.NewEngine(promql.EngineOpts{MaxSamples: 50_000_000, Timeout: time.Minute, LookbackDelta: lookback, Parser: Language})
}

// At is a value at a time.
func At(time time.Time, value float64) chunks.Sample { return sample{time.UnixMilli(), value} }

// Querier lets the engine ask.
func (store Store) Querier(int64, int64) (storage.Querier, error) {
	return &storage.MockQuerier{SelectMockFunction: store.matching}, nil
}

// Now is what the expression says at this time.
func (store Store) Now(engine *promql.Engine, expr string, at time.Time) (promql.Vector, error) {
	query, err := engine.NewInstantQuery(context.Background(), store, nil, expr, at)
	if err != nil {
		return nil, err
	}
	defer query.Close()
	return query.Exec(context.Background()).Vector()
}

// Range is what it says from begin to end.
func (store Store) Range(engine *promql.Engine, expr string, begin, end time.Time, step time.Duration) (promql.Matrix, error) {
	query, err := engine.NewRangeQuery(context.Background(), store, nil, expr, begin, end, step)
	if err != nil {
		return nil, err
	}
	defer query.Close()
	return query.Exec(context.Background()).Matrix()
}

func (store Store) matching(_ bool, hints *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	found := &set{at: -1}
	for _, series := range store {
		if matches(series.Labels, matchers) {
			found.series = append(found.series, storage.NewListSeries(series.Labels, within(series.Samples, hints)))
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

type set struct {
	series []storage.Series
	at     int
}

func (set *set) Next() bool                        { set.at++; return set.at < len(set.series) }
func (set *set) At() storage.Series                { return set.series[set.at] }
func (set *set) Err() error                        { return nil }
func (set *set) Warnings() annotations.Annotations { return nil }

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
