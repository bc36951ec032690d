package main

import (
	"encoding/json"

	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

const name = "iam-token-operator"

// The dashboard as Grafana loads it.
func dashboardJSON() ([]byte, error) {
	builder := dashboard.NewDashboardBuilder(name).Uid(name).Tags([]string{name}).
		Refresh("30s").Time("now-3h", "now").Version(1).Timezone("browser").Editable().
		WithVariable(dashboard.NewDatasourceVariableBuilder("datasource").Label("Data source").Type("prometheus"))
	places := places()
	for number, panel := range panels {
		at := dashboard.GridPos{X: places[number].x, Y: places[number].y, W: panel.w, H: panel.h}
		id := uint32(number + 1)
		if panel.stat {
			shown := stat.NewPanelBuilder().Id(id).Title(panel.title).Description(panel.what).Unit(panel.unit).
				Datasource(source()).GridPos(at).ColorMode(common.BigValueColorModeValue).
				ReduceOptions(common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"}))
			for letter, query := range panel.queries {
				shown.WithTarget(target(query, letter))
			}
			builder.WithPanel(shown)
			continue
		}
		shown := timeseries.NewPanelBuilder().Id(id).Title(panel.title).Description(panel.what).Unit(panel.unit).
			Datasource(source()).GridPos(at).Min(0).
			Legend(common.NewVizLegendOptionsBuilder().ShowLegend(true).DisplayMode(common.LegendDisplayModeList).Placement(common.LegendPlacementBottom)).
			Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeMulti).Sort(common.SortOrderDescending))
		for letter, query := range panel.queries {
			shown.WithTarget(target(query, letter))
		}
		builder.WithPanel(shown)
	}
	built, err := builder.Build()
	if err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(built, "", "  ")
	return append(text, '\n'), err
}

func source() common.DataSourceRef {
	kind, uid := "prometheus", "${datasource}"
	return common.DataSourceRef{Type: &kind, Uid: &uid}
}

func target(query query, letter int) *prometheus.DataqueryBuilder {
	return prometheus.NewDataqueryBuilder().Datasource(source()).
		Expr(query.expr).LegendFormat(query.legend).RefId(string(rune('A' + letter))).Range()
}
