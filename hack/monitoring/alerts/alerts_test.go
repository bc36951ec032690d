// Evaluates the chart's alerts with Prometheus' own parser and engine, on what a Prometheus would have scraped.
package alerts

import (
	"slices"
	"testing"
	"time"
)

const (
	token = `{namespace="payments",name="hpcs"}`
	alert = `{name="hpcs", namespace="payments"}`
)

func exchanges(endpoint, result string) string {
	return `iam_token_operator_exchanges_total{endpoint="` + endpoint + `",result="` + result + `"}`
}

// A token that is refreshed in time, and what a whole operator tells beside it.
func healthy() scraped {
	return scraped{
		"iam_token_operator_token_ready" + token:                          always(1),
		"iam_token_operator_token_suspended" + token:                      always(0),
		"iam_token_operator_token_stalled" + token:                        always(0),
		"iam_token_operator_token_expiry_timestamp_seconds" + token:       timestamp(3 * time.Hour),
		"iam_token_operator_token_next_refresh_timestamp_seconds" + token: timestamp(2 * time.Hour),
		"iam_token_operator_api_key_expiry_timestamp_seconds" + token:     timestamp(60 * 24 * time.Hour),
		exchanges("https://iam", "ok"):                                    growing(1),
		exchanges("https://iam", "CredentialRejected"):                    always(3),
		`iam_token_operator_clock_skew_seconds{endpoint="https://iam"}`:   always(2),
		`iam_token_operator_leader{job="o",instance="a"}`:                 always(1),
		`iam_token_operator_leader{job="o",instance="b"}`:                 always(0),
		`iam_token_operator_build_info{job="o",instance="a"}`:             always(1),
	}
}

func with(changes scraped) scraped {
	series := healthy()
	for name, values := range changes {
		if values == nil {
			delete(series, name)
		} else {
			series[name] = values
		}
	}
	return series
}

type situation struct {
	what  string
	alert string
	// What is scraped other than when all is well.
	changes scraped
	quiet   time.Duration // It does not fire yet,
	fires   time.Duration // and then it does,
	labels  string        // with these labels.
}

var situations = []situation{
	{
		"the refresh was due and was not done", "IamTokenExpiring",
		scraped{
			"iam_token_operator_token_expiry_timestamp_seconds" + token:       timestamp(30 * time.Minute),
			"iam_token_operator_token_next_refresh_timestamp_seconds" + token: timestamp(18 * time.Minute),
		},
		20 * time.Minute, 25 * time.Minute, alert,
	},
	{
		"there is no valid token", "IamTokenNotReady",
		scraped{"iam_token_operator_token_ready" + token: always(0)},
		14 * time.Minute, 15 * time.Minute, alert,
	},
	{
		"a person must act", "IamTokenStalled",
		scraped{"iam_token_operator_token_stalled" + token: always(1)},
		4 * time.Minute, 5 * time.Minute, alert,
	},
	{
		"an endpoint gives nothing any more", "IamTokenExchangesFailing",
		scraped{
			exchanges("https://iam", "ok"):             always(5),
			exchanges("https://iam", "IamUnreachable"): growing(1),
		},
		10 * time.Minute, 20 * time.Minute, `{endpoint="https://iam"}`,
	},
	{
		"a key is rejected while others work", "IamTokenCredentialRejected",
		scraped{exchanges("https://iam", "CredentialRejected"): growing(0.2)},
		9 * time.Minute, 30 * time.Minute, `{endpoint="https://iam"}`,
	},
	{
		"a key expires in 13 days", "IamTokenApiKeyExpiring",
		scraped{"iam_token_operator_api_key_expiry_timestamp_seconds" + token: timestamp(13 * 24 * time.Hour)},
		59 * time.Minute, time.Hour, alert,
	},
	{
		"IAM's clock is ahead", "IamTokenOperatorClockSkew",
		scraped{`iam_token_operator_clock_skew_seconds{endpoint="https://iam"}`: always(45)},
		14 * time.Minute, 15 * time.Minute, `{endpoint="https://iam"}`,
	},
	{
		"IAM's clock is behind", "IamTokenOperatorClockSkew",
		scraped{`iam_token_operator_clock_skew_seconds{endpoint="https://iam"}`: always(-45)},
		14 * time.Minute, 15 * time.Minute, `{endpoint="https://iam"}`,
	},
	{
		"nobody leads", "IamTokenOperatorNoLeader",
		scraped{`iam_token_operator_leader{job="o",instance="a"}`: always(0)},
		4 * time.Minute, 5 * time.Minute, `{job="o"}`,
	},
	{
		"no replica is scraped any more", "IamTokenOperatorAbsent",
		scraped{`iam_token_operator_build_info{job="o",instance="a"}`: until(10*time.Minute, always(1))},
		20 * time.Minute, 30 * time.Minute, `{}`,
	},
}

func TestEachAlertFiresInItsTimeAndNoOtherDoes(t *testing.T) {
	rules, tried := rules(t), map[string]bool{}
	for _, situation := range situations {
		series := with(situation.changes)
		if early := firing(t, rules[situation.alert], series, situation.quiet); len(early) > 0 {
			t.Errorf("%s: %s fires after %s already", situation.what, situation.alert, situation.quiet)
		}
		if fires := firing(t, rules[situation.alert], series, situation.fires); !slices.Equal(fires, []string{situation.labels}) {
			t.Errorf("%s: %s fires after %s for %v, not for %s", situation.what, situation.alert, situation.fires, fires, situation.labels)
		}
		for name, rule := range rules {
			if fires := firing(t, rule, series, situation.fires); name != situation.alert && len(fires) > 0 {
				t.Errorf("%s: %s fires too, for %v", situation.what, name, fires)
			}
		}
		tried[situation.alert] = true
	}
	for name := range rules {
		if !tried[name] {
			t.Errorf("%s: there is no situation for it here", name)
		}
	}
}

func TestWhereAllIsWellNothingFires(t *testing.T) {
	stranger := `{namespace="payments",name="batch"}`
	for what, series := range map[string]scraped{
		"healthy": healthy(),
		"suspended, and its token has died": with(scraped{
			"iam_token_operator_token_ready" + stranger:                    always(0),
			"iam_token_operator_token_suspended" + stranger:                always(1),
			"iam_token_operator_token_stalled" + stranger:                  always(1),
			"iam_token_operator_token_expiry_timestamp_seconds" + stranger: timestamp(0),
		}),
		"one exchange in ten fails":        with(scraped{exchanges("https://iam", "IamUnavailable"): growing(0.1)}),
		"another endpoint was never asked": with(scraped{exchanges("https://private.iam", "ok"): always(0)}),
	} {
		for name, rule := range rules(t) {
			for _, at := range []time.Duration{5 * time.Minute, 40 * time.Minute, 90 * time.Minute} {
				if fires := firing(t, rule, series, at); len(fires) > 0 {
					t.Errorf("%s: %s fires after %s for %v", what, name, at, fires)
				}
			}
		}
	}
}
