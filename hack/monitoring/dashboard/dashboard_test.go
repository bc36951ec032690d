package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"iamtoken.dev/hack/monitoring/series"
)

const chart = "../../../charts/iam-token-operator/files/dashboard.json"

func TestTheChartHasTheDashboardOfThisSource(t *testing.T) {
	made, err := dashboardJSON()
	if err != nil {
		t.Fatal(err)
	}
	committed, err := os.ReadFile(chart)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(made, committed) {
		t.Error("charts/iam-token-operator/files/dashboard.json is not current: make generate")
	}
}

func TestGrafanasOwnTypesTakeAllOfIt(t *testing.T) {
	committed, err := os.ReadFile(chart)
	if err != nil {
		t.Fatal(err)
	}
	var loaded dashboard.Dashboard
	if err := loaded.UnmarshalJSONStrict(committed); err != nil && err.Error() != "" {
		t.Error(err)
	}
	if err := loaded.Validate(); err != nil && err.Error() != "" {
		t.Error(err)
	}
	if len(loaded.Panels) != len(panels) {
		t.Errorf("%d panels of %d", len(loaded.Panels), len(panels))
	}
	var strict dashboard.Dashboard
	spoilt := bytes.Replace(committed, []byte(`"gridPos"`), []byte(`"gridPlace"`), 1)
	if err := strict.UnmarshalJSONStrict(spoilt); err == nil || err.Error() == "" {
		t.Error("a field that there is not was taken")
	}
}

func TestEachQueryIsOne(t *testing.T) {
	for _, panel := range panels {
		for _, query := range panel.queries {
			if _, err := series.Language.ParseExpr(query.expr); err != nil {
				t.Errorf("%s: %v", panel.title, err)
			}
		}
	}
}

func TestAPictureShowsWhatWasScraped(t *testing.T) {
	scrapes := filepath.Join(t.TempDir(), "scrapes")
	text := "# at 1800000000.0\n# TYPE iam_token_operator_leader gauge\niam_token_operator_leader 1\n# EOF\n" +
		"# at 1800000002\n# TYPE iam_token_operator_tokens gauge\niam_token_operator_tokens{state=\"ready\"} 41\n" +
		"iam_token_operator_tokens{state=\"not_ready\"} 1\n# EOF\n"
	if err := os.WriteFile(scrapes, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	drawn, err := picture(scrapes)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{">IamTokens</text>", ">42</text>", ">not_ready</text>", ">No data</text>"} {
		if !bytes.Contains(drawn, []byte(word)) {
			t.Errorf("%s is not in the picture", word)
		}
	}
}
