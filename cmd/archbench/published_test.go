package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"archbench/common/view"
	"archbench/results"
	"archbench/testcontainers/brokertest"
	"archbench/workloads/workloadtest"
)

// ages is a window that holds all of the data.
const ages = "876000h"

// TestDumpedViewsOnKafka runs all real order lines through the three
// architectures on real Kafka, under rules 1 and 2 and with window sizes of
// which answers are published, and others. Every read and the dumped views must
// be right by the oracle, and the dumps under rules 1 also by what two
// independent programs published.
func TestDumpedViewsOnKafka(t *testing.T) {
	path := workloadtest.Path(t)
	bootstrap := strings.Join(brokertest.Bootstrap(t), ",")
	for _, c := range []struct {
		name      string
		scenarios string
		windows   []string
		check     func(t *testing.T, dump func(view.Name) []view.Row)
	}{
		{"by the hour", "backfill,reprocess", []string{"windows.tumbling=1h", "windows.hop_size=168h", "windows.hop_slide=24h", "windows.distinct=1h"},
			func(t *testing.T, dump func(view.Name) []view.Row) {
				workloadtest.Hours(t, dump(view.RevenueByCountry), dump(view.DistinctCustomers))
				workloadtest.Hopping(t, dump(view.RollingRevenue))
			}},
		{"all of it", "backfill", []string{"windows.tumbling=" + ages, "windows.distinct=" + ages, "windows.top=17h", "windows.hop_size=35h", "windows.hop_slide=7h", "windows.session_gap=26h", "windows.alert=13m", "windows.segment=191h", "top_k=3", "alert_threshold_milli=77777"},
			func(t *testing.T, dump func(view.Name) []view.Row) {
				workloadtest.Countries(t, dump(view.RevenueByCountry), dump(view.DistinctCustomers))
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out")
			args := []string{"run", "--workload", "online-retail", "--scenario", c.scenarios, "--policy", "exact", "--broker", "external", "--bootstrap", bootstrap,
				"--rate", "20000", "--out", out, "--set", "workload.path=" + path}
			for _, w := range c.windows {
				args = append(args, "--set", w)
			}
			code, stdout, stderr := outcome(t, withoutRace(t, args...))
			if code != exitDone {
				t.Fatalf("exit %d: %s\n%s", code, stderr, stdout)
			}
			content, err := os.ReadFile(filepath.Join(out, "result.json"))
			if err != nil {
				t.Fatal(err)
			}
			var r results.Result
			if err := json.Unmarshal(content, &r); err != nil {
				t.Fatal(err)
			}
			if want := 3 * (1 + strings.Count(c.scenarios, ",")); len(r.Measurements) != want {
				t.Fatalf("%d measurements, want %d", len(r.Measurements), want)
			}
			for _, m := range r.Measurements {
				name := m.Scenario + " on " + m.Architecture
				if d := m.Divergence; d == nil || d.Reads == 0 || d.Any() || d.Final == nil || d.Final.RowsChecked == 0 {
					t.Errorf("%s: %+v", name, d)
				}
				if m.Scenario != "backfill" {
					continue
				}
				t.Run(name, func(t *testing.T) {
					c.check(t, func(v view.Name) []view.Row {
						return dumped(t, filepath.Join(out, m.Scenario, m.Architecture, "trial-1"), v)
					})
				})
			}
		})
	}
}

// dumped reads a view that a measurement dumped.
func dumped(t *testing.T, dir string, v view.Name) []view.Row {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, "views", string(v)+".csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := v.Schema().ReadCSV(f)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}
