package results_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"archbench/common/view"
	"archbench/results"
)

func sample() *results.Result {
	p99 := int64(20_000)
	d := &results.Divergence{}
	d.AddRead(view.RevenueByCountry, view.Difference{Checked: 10}, false)
	d.AddRead(view.TopProducts, view.Difference{Checked: 4, Wrong: 1, Missing: 2, Extra: 1, MaxAbsMilli: 70}, true)
	d.AddFinal(view.TopProducts, view.Difference{Checked: 6, Extra: 3, MaxAbsMilli: 90})
	d.Unanswered, d.Examples = 1, []string{"top_products: 1 wrong"}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return &results.Result{
		Schema:    results.Schema,
		Run:       results.Run{ID: "x", StartedAt: at, FinishedAt: at, Suite: "quick", Seed: 1, Command: "archbench run"},
		Host:      results.Host{CPU: "a", Cores: 2, OS: "linux", CPUSets: results.CPUSets{Harness: []int{0}, Architecture: []int{1}}},
		Broker:    results.Broker{Kind: "embedded", Product: "kfake", Partitions: 4},
		Workloads: []results.Workload{{ID: "synthetic", Source: "1", Parameters: map[string]string{"seed": "1"}}},
		Measurements: []results.Measurement{{Scenario: "steady", Workload: "synthetic", Architecture: "kappa", Policy: "exact", Guarantee: "effectively-once",
			Trial: 1, Valid: true, FreshnessUS: &results.Percentiles{Count: 9, P99: &p99}, Divergence: d}},
	}
}

func TestDivergenceAddsUp(t *testing.T) {
	want := &results.Divergence{
		Reads: 2, ReadsWrong: 1, Unanswered: 1, RowsChecked: 14, RowsWrong: 1, RowsMissing: 2, RowsExtra: 1, MaxAbsMilli: 90,
		Final: &results.FinalRows{RowsChecked: 6, RowsExtra: 3},
		Views: map[view.Name]view.Difference{
			view.RevenueByCountry: {Checked: 10},
			view.TopProducts:      {Checked: 10, Wrong: 1, Missing: 2, Extra: 4, MaxAbsMilli: 90},
		},
		Examples: []string{"top_products: 1 wrong"},
	}
	if d := cmp.Diff(want, sample().Measurements[0].Divergence); d != "" {
		t.Error(d)
	}
}

func TestAnyDivergence(t *testing.T) {
	for name, c := range map[string]struct {
		d    *results.Divergence
		want bool
	}{
		"none":                 {nil, false},
		"all right":            {&results.Divergence{Reads: 9, RowsChecked: 9, Final: &results.FinalRows{RowsChecked: 7}}, false},
		"unanswered":           {&results.Divergence{Unanswered: 1}, false},
		"a row":                {&results.Divergence{RowsExtra: 1}, true},
		"an unreadable answer": {&results.Divergence{ReadsWrong: 1}, true},
		"a final row":          {&results.Divergence{Final: &results.FinalRows{RowsMissing: 1}}, true},
	} {
		if c.d.Any() != c.want {
			t.Errorf("%s: Any is %v", name, !c.want)
		}
	}
}

func TestResultSurvivesItsFile(t *testing.T) {
	dir := t.TempDir()
	if err := results.Write(dir, sample()); err != nil {
		t.Fatal(err)
	}
	got, err := results.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(sample(), got); d != "" {
		t.Error(d)
	}
	path := filepath.Join(dir, results.FileName)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	foreign := strings.Replace(string(content), `"reads_wrong": 1`, `"reads_wrong": -1`, 1)
	if foreign == string(content) {
		t.Fatal("the file holds no reads_wrong")
	}
	if err := os.WriteFile(path, []byte(foreign), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := results.Read(dir); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("%v, want a refusal that names the file", err)
	}
}
