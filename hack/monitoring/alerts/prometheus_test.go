package alerts

import (
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"

	"iamtoken.dev/hack/monitoring/series"
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
	file := "../../../charts/iam-token-operator/files/alerts.yaml"
	groups, errs := rulefmt.ParseFile(file, false, model.UTF8Validation, series.Language, slog.New(slog.DiscardHandler))
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
	store, engine := scraped.until(t, at), series.Engine(0)
	since := map[string]time.Duration{}
	for now := time.Duration(0); now <= at; now += interval {
		vector, err := store.Now(engine, rule.Expr, begin.Add(now))
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
	}
	firing := []string{}
	for name, since := range since {
		if at-since >= time.Duration(rule.For) {
			firing = append(firing, name)
		}
	}
	return firing
}

func (scraped scraped) until(t *testing.T, end time.Duration) series.Store {
	t.Helper()
	store := series.Store{}
	for selector, values := range scraped {
		parsed, err := series.Language.ParseMetric(selector)
		if err != nil {
			t.Fatal(selector, err)
		}
		one := &series.Series{Labels: parsed}
		for at := time.Duration(0); at <= end; at += interval {
			if value, there := values(at); there {
				one.Samples = append(one.Samples, series.At(begin.Add(at), value))
			}
		}
		store = append(store, one)
	}
	return store
}
