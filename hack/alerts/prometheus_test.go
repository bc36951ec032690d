package alerts

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

// How often Prometheus scrapes and evaluates by default, and the hour that a test begins at.
const interval = time.Minute

var begin = time.Unix(1_800_000_000, 0)

// A value that a series has at some time after the beginning; nothing where it has none.
type values func(at time.Duration) (float64, bool)

// What is scraped: series by their selector, such as m{a="b"}.
type scraped map[string]values

func always(value float64) values {
	return func(time.Duration) (float64, bool) { return value, true }
}

// The time so long after the beginning, in seconds since 1970.
func timestamp(after time.Duration) values {
	return always(float64(begin.Add(after).Unix()))
}

// It goes up by so much every minute.
func growing(perMinute float64) values {
	return func(at time.Duration) (float64, bool) { return perMinute * at.Minutes(), true }
}

func until(end time.Duration, values values) values {
	return func(at time.Duration) (float64, bool) {
		value, there := values(at)
		return value, there && at < end
	}
}

func rules(t *testing.T) map[string]rulefmt.Rule {
	t.Helper()
	groups, errs := rulefmt.ParseFile("../../charts/iam-token-operator/files/alerts.yaml", false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	found := map[string]rulefmt.Rule{}
	for _, group := range groups.Groups {
		for _, rule := range group.Rules {
			found[rule.Alert] = rule
		}
	}
	return found
}

// The labels of the alerts that fire at this time, as their own `for` has it: whoever was there at every evaluation.
func firing(t *testing.T, rule rulefmt.Rule, scraped scraped, at time.Duration) []string {
	t.Helper()
	queryable := &storage.MockQueryable{MockQuerier: &storage.MockQuerier{SelectMockFunction: scraped.selected(t)}}
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1_000_000, Timeout: time.Minute, Parser: parser.NewParser(parser.Options{})})
	since := map[string]time.Duration{}
	for now := time.Duration(0); now <= at; now += interval {
		query, err := engine.NewInstantQuery(context.Background(), queryable, nil, rule.Expr, begin.Add(now))
		if err != nil {
			t.Fatal(rule.Alert, err)
		}
		vector, err := query.Exec(context.Background()).Vector()
		if err != nil {
			t.Fatal(rule.Alert, err)
		}
		active := map[string]time.Duration{}
		for _, sample := range vector {
			name := sample.Metric.MatchLabels(false, labels.MetricName).String()
			if before, there := since[name]; there {
				active[name] = before
			} else {
				active[name] = now
			}
		}
		since = active
		query.Close()
	}
	firing := []string{}
	for name, since := range since {
		if at-since >= time.Duration(rule.For) {
			firing = append(firing, name)
		}
	}
	return firing
}

func (scraped scraped) selected(t *testing.T) func(bool, *storage.SelectHints, ...*labels.Matcher) storage.SeriesSet {
	return func(_ bool, hints *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
		found := &seriesSet{at: -1}
		for selector, values := range scraped {
			parsed, err := parser.NewParser(parser.Options{}).ParseMetric(selector)
			if err != nil {
				t.Fatal(selector, err)
			}
			if matches(parsed, matchers) {
				found.series = append(found.series, storage.NewListSeries(parsed, values.samples(hints)))
			}
		}
		return found
	}
}

func matches(series labels.Labels, matchers []*labels.Matcher) bool {
	for _, matcher := range matchers {
		if !matcher.Matches(series.Get(matcher.Name)) {
			return false
		}
	}
	return true
}

func (values values) samples(hints *storage.SelectHints) []chunks.Sample {
	samples := []chunks.Sample{}
	for at := time.Duration(0); !begin.Add(at).After(time.UnixMilli(hints.End)); at += interval {
		if value, there := values(at); there && !begin.Add(at).Before(time.UnixMilli(hints.Start)) {
			samples = append(samples, sample{begin.Add(at).UnixMilli(), value})
		}
	}
	return samples
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
