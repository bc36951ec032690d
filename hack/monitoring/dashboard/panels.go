package main

// A panel as both the dashboard and its picture show it. Its place is 24 wide; what doesn't fit goes to the next row.
type panel struct {
	title   string
	what    string // for whoever hovers over the title
	stat    bool   // one number for each series, not a graph
	unit    string // as Grafana names it
	w, h    uint32
	queries []query
}

type query struct {
	expr   string
	legend string
}

// The dashboard.
var panels = []panel{
	{
		title: "Replicas that lead", what: "One, always. None: nothing is refreshed.",
		stat: true, unit: "short", w: 4, h: 4,
		queries: []query{{"sum(iam_token_operator_leader)", "leaders"}},
	},
	{
		title: "IamTokens", what: "How many there are, and how many of them have no valid token or need a person.",
		stat: true, unit: "short", w: 8, h: 4,
		queries: []query{
			{`sum(max by (state) (iam_token_operator_tokens{state=~"ready|not_ready"}))`, "all"},
			{`max(iam_token_operator_tokens{state="not_ready"})`, "not ready"},
			{`max(iam_token_operator_tokens{state="stalled"})`, "stalled"},
		},
	},
	{
		title: "Next expiry", what: "When the first token expires that is to be refreshed.",
		stat: true, unit: "s", w: 4, h: 4,
		queries: []query{{"min(iam_token_operator_tokens_earliest_expiry_timestamp_seconds) - time()", "next expiry"}},
	},
	{
		title: "Next API key to expire", what: "Of those whose identity may read them.",
		stat: true, unit: "s", w: 4, h: 4,
		queries: []query{{"min(iam_token_operator_api_key_expiry_timestamp_seconds) - time()", "next key"}},
	},
	{
		title: "Largest clock skew", what: "Between IAM and the operator. Over 30 s: look at the nodes' time.",
		stat: true, unit: "s", w: 4, h: 4,
		queries: []query{{"max(abs(iam_token_operator_clock_skew_seconds))", "skew"}},
	},
	{
		title: "Time left of each token", what: "The 20 that expire first. A refresh lifts a line; none may reach 0.",
		unit: "s", w: 12, h: 9,
		queries: []query{{"bottomk(20, iam_token_operator_token_expiry_timestamp_seconds - time())", "{{namespace}}/{{name}}"}},
	},
	{
		title: "IamTokens by state", what: "ready and not_ready make up all; the others overlap.",
		unit: "short", w: 12, h: 9,
		queries: []query{{"max by (state) (iam_token_operator_tokens)", "{{state}}"}},
	},
	{
		title: "Exchanges by result", what: "With IAM, per second.",
		unit: "ops", w: 12, h: 9,
		queries: []query{{"sum by (endpoint, result) (rate(iam_token_operator_exchanges_total[5m]))", "{{result}} {{endpoint}}"}},
	},
	{
		title: "How long exchanges take", what: "Half of them, and all but one in a hundred.",
		unit: "s", w: 12, h: 9,
		queries: []query{
			{"histogram_quantile(0.5, sum by (le) (rate(iam_token_operator_exchange_duration_seconds_bucket[5m])))", "p50"},
			{"histogram_quantile(0.99, sum by (le) (rate(iam_token_operator_exchange_duration_seconds_bucket[5m])))", "p99"},
		},
	},
	{
		title: "Late refreshes", what: "By how much they are late. Empty is well.",
		unit: "s", w: 12, h: 8,
		queries: []query{{"time() - iam_token_operator_token_next_refresh_timestamp_seconds > 0", "{{namespace}}/{{name}}"}},
	},
	{
		title: "In line for IAM", what: "IamTokens that wait for their turn, those that expire first before others.",
		unit: "short", w: 12, h: 8,
		queries: []query{{"sum(iam_token_operator_exchange_queue_depth)", "waiting"}},
	},
	{
		title: "Looks at IamTokens by outcome", what: "Per second.",
		unit: "ops", w: 8, h: 8,
		queries: []query{{"sum by (outcome) (rate(iam_token_operator_reconciles_total[5m]))", "{{outcome}}"}},
	},
	{
		title: "Requests to the API server", what: "Per second, by verb and resource.",
		unit: "ops", w: 8, h: 8,
		queries: []query{{"sum by (verb, resource) (rate(iam_token_operator_api_requests_total[5m]))", "{{verb}} {{resource}}"}},
	},
	{
		title: "Memory", what: "In RAM, of each replica.",
		unit: "bytes", w: 8, h: 8,
		queries: []query{{`process_resident_memory_bytes and on (job, instance) iam_token_operator_build_info`, "{{instance}}"}},
	},
}

// Where a panel stands: its left and upper edge.
type place struct{ x, y uint32 }

// One row after the other; each is as high as its first panel.
func places() []place {
	found, at, height := []place{}, place{}, uint32(0)
	for _, panel := range panels {
		if at.x+panel.w > 24 {
			at = place{0, at.y + height}
		}
		if at.x == 0 {
			height = panel.h
		}
		found = append(found, at)
		at.x += panel.w
	}
	return found
}
