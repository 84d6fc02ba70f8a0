package gate_test

import (
	"strings"
	"testing"

	"archbench/bench/gate"
	"archbench/results"
)

func TestGates(t *testing.T) {
	none, ok, late := int64(0), int64(4_999), int64(5_001)
	few, some, many := int64(4), int64(29), int64(30)
	for _, c := range []struct {
		facts gate.Facts
		says  string
	}{
		{gate.Facts{Lag: &results.Percentiles{Count: 9, P99: &ok}, Offered: 1000, Achieved: 999, Scheduled: 10, Answered: 9, Events: &many, Batches: &many, StealPercent: 1}, ""},
		{gate.Facts{Lag: &results.Percentiles{Count: 9, P99: &late}}, "generator was late"},
		{gate.Facts{Lag: &results.Percentiles{Count: 9, Note: "too few"}}, "no p99"},
		{gate.Facts{Offered: 1000, Achieved: 998}, "offered rate"},
		{gate.Facts{StealPercent: 6}, "took 6.0 %"},
		{gate.Facts{Never: 1}, "1 events were never covered"},
		{gate.Facts{AlertsNever: 3}, "3 alerts never came"},
		{gate.Facts{Events: &none}, "no event fell into the window"},
		{gate.Facts{WentBack: 2}, "went back 2 times"},
		{gate.Facts{ReadsWentBack: 3}, "3 reads covered less"},
		{gate.Facts{Scheduled: 10, Answered: 8}, "starved"},
		{gate.Facts{Batches: &some}, "29 commits"},
		{gate.Facts{Lambda: true, Batches: &few}, "4 batches"},
		{gate.Facts{Lambda: true, Batches: &some}, ""},
	} {
		got := strings.Join(gate.Check(c.facts), "; ")
		if c.says == "" && got != "" || !strings.Contains(got, c.says) {
			t.Errorf("%+v: %q, want %q", c.facts, got, c.says)
		}
	}
}
