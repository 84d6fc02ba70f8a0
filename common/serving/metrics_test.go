package serving_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"archbench/common/alerts"
	"archbench/common/architecture"
	"archbench/common/coverage"
)

// whole is a status with all that there can be.
func whole() *architecture.Status {
	at := coverage.Coverage{Orders: coverage.Vector{10, 20}, Customers: coverage.Vector{3, 4}}
	seam := coverage.Coverage{Orders: coverage.Vector{5, 6}, Customers: coverage.Vector{1, 2}}
	watermark, received := int64(1_740_000_000_500), int64(12345)
	var took architecture.Durations
	took.Add(architecture.Commit, 3*time.Millisecond)
	took.Add(architecture.Commit, 300*time.Millisecond)
	took.Add(architecture.Commit, time.Hour)
	return &architecture.Status{Architecture: "fake", Policy: "bounded", Guarantee: "at-least-once", Rules: 2, Coverage: at, Committed: seam, Seam: &seam, BrokerReadBytes: &received,
		Lag: 7, Ready: true, Late: 1, Duplicate: 2, Conflicting: 3, Unusable: 4, Commits: 5, Alerts: alerts.Counts{Raised: 14, Written: 11, Waiting: 3, Failures: 2}, State: map[string]int64{"rows": 5},
		Batch: &architecture.BatchStatus{Runs: 6, LastSeconds: 0.5, IntervalSeconds: 1.5}, Reprocess: &architecture.Progress{Running: true, Done: 3, Total: 9, Seconds: 2},
		WatermarksMS: []*int64{&watermark, nil}, Durations: took.Snapshot(architecture.Commit, architecture.Batch, architecture.Compaction)}
}

// scrape reads the metrics of a status as Prometheus would.
func scrape(t *testing.T, s *architecture.Status) (map[string]*dto.MetricFamily, string) {
	t.Helper()
	f, _, h := serve(t, "")
	f.status = s
	_, body := request(t, "GET", h.URL+"/metrics", nil)
	parser := expfmt.NewTextParser(model.LegacyValidation) // names as every version of Prometheus takes them
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return families, body
}

// value is the one metric of a family with these labels: NAME=VALUE pairs.
func value(t *testing.T, families map[string]*dto.MetricFamily, name string, labels ...string) float64 {
	t.Helper()
	for _, m := range families[name].GetMetric() {
		var has []string
		for _, l := range m.GetLabel() {
			has = append(has, l.GetName()+"="+l.GetValue())
		}
		if slices.Equal(has, labels) {
			return m.GetGauge().GetValue() + m.GetCounter().GetValue() // one of them is there
		}
	}
	t.Errorf("there is no %s %q", name, labels)
	return math.NaN()
}

func TestMetricsOfEverything(t *testing.T) {
	families, body := scrape(t, whole())
	for _, c := range []struct {
		name   string
		labels []string
		want   float64
	}{
		{"archbench_info", []string{"architecture=fake", "guarantee=at-least-once", "policy=bounded"}, 1},
		{"archbench_ready", nil, 1},
		{"archbench_rules", nil, 2},
		{"archbench_lag_records", nil, 7},
		{"archbench_late_lines_total", nil, 1},
		{"archbench_duplicate_lines_total", nil, 2},
		{"archbench_duplicate_conflicts_total", nil, 3},
		{"archbench_unusable_records_total", nil, 4},
		{"archbench_alerts_total", nil, 11},
		{"archbench_alerts_waiting", nil, 3},
		{"archbench_alert_write_failures_total", nil, 2},
		{"archbench_commits_total", nil, 5},
		{"archbench_broker_read_bytes_total", nil, 12345},
		{"archbench_batch_runs_total", nil, 6},
		{"archbench_batch_last_duration_seconds", nil, 0.5},
		{"archbench_batch_interval_seconds", nil, 1.5},
		{"archbench_state_size", []string{"state=rows"}, 5},
		{"archbench_coverage_offset", []string{"partition=1", "topic=orders"}, 20},
		{"archbench_committed_offset", []string{"partition=0", "topic=customers"}, 1},
		{"archbench_seam_offset", []string{"partition=1", "topic=orders"}, 6},
		{"archbench_watermark_timestamp_seconds", []string{"partition=0"}, 1_740_000_000.5},
	} {
		if got := value(t, families, c.name, c.labels...); got != c.want {
			t.Errorf("%s %q is %v, want %v", c.name, c.labels, got, c.want)
		}
	}
	if n := len(families["archbench_watermark_timestamp_seconds"].GetMetric()); n != 1 {
		t.Errorf("%d watermarks, want one: the other partition has none yet", n)
	}
	commits := families["archbench_commit_duration_seconds"].GetMetric()[0].GetHistogram()
	if commits.GetSampleCount() != 3 || math.Abs(commits.GetSampleSum()-3600.303) > 1e-9 {
		t.Errorf("%v", commits)
	}
	for _, b := range commits.GetBucket() {
		want := uint64(0)
		for _, took := range []float64{0.003, 0.3, 3600} {
			if took <= b.GetUpperBound() {
				want++
			}
		}
		if b.GetCumulativeCount() != want {
			t.Errorf("%d commits within %v s, want %d", b.GetCumulativeCount(), b.GetUpperBound(), want)
		}
	}
	if n := families["archbench_compaction_duration_seconds"].GetMetric()[0].GetHistogram().GetSampleCount(); n != 0 {
		t.Errorf("%d compactions", n)
	}
	problems, err := promlint.New(strings.NewReader(body)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("against the conventions: %v, %v", problems, err)
	}
}

// What an architecture does not have is left out.
func TestMetricsOfLittle(t *testing.T) {
	families, _ := scrape(t, &architecture.Status{Architecture: "fake"})
	for _, name := range []string{"archbench_seam_offset", "archbench_batch_runs_total", "archbench_batch_duration_seconds", "archbench_watermark_timestamp_seconds",
		"archbench_reprocess_running", "archbench_broker_read_bytes_total"} {
		if families[name] != nil {
			t.Errorf("%s is shown", name)
		}
	}
	if value(t, families, "archbench_late_lines_total") != 0 {
		t.Error("a zero is not shown")
	}
}

var (
	metricName = regexp.MustCompile(`\b(?:archbench|process|go)_[a-z0-9_]+`)
	grouping   = regexp.MustCompile(`\bby \(([^)]*)\)`)
)

// TestDashboard holds that the dashboard asks for metrics and labels that there
// are, and shows every one of ours.
func TestDashboard(t *testing.T) {
	content, err := os.ReadFile(filepath.Join("..", "..", "docs", "grafana", "archbench.json"))
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			ID      int
			Type    string
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(content, &dashboard); err != nil {
		t.Fatal(err)
	}
	families, _ := scrape(t, whole())
	shown, ids := map[string]bool{}, map[int]bool{}
	for _, p := range dashboard.Panels {
		if ids[p.ID] || p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %q has no targets, or another's id %d", p.Title, p.ID)
		}
		ids[p.ID] = true
		for _, target := range p.Targets {
			labels := map[string]bool{"instance": true}
			for _, name := range metricName.FindAllString(target.Expr, -1) {
				f := family(families, name)
				if f == nil {
					t.Errorf("panel %q asks for %s, which there is not", p.Title, name)
					continue
				}
				shown[f.GetName()] = true
				for _, l := range f.GetMetric()[0].GetLabel() {
					labels[l.GetName()] = true
				}
				labels["le"] = labels["le"] || f.GetType() == dto.MetricType_HISTOGRAM
			}
			for _, by := range grouping.FindAllStringSubmatch(target.Expr, -1) {
				for label := range strings.SplitSeq(by[1], ",") {
					if !labels[strings.TrimSpace(label)] {
						t.Errorf("panel %q groups by %s: %s", p.Title, label, target.Expr)
					}
				}
			}
		}
	}
	for name := range families {
		if strings.HasPrefix(name, "archbench_") && !shown[name] {
			t.Errorf("the dashboard does not show %s", name)
		}
	}
}

// family finds the family of a series, whose name has a suffix if it is a histogram's.
func family(families map[string]*dto.MetricFamily, series string) *dto.MetricFamily {
	if f := families[series]; f != nil && f.GetType() != dto.MetricType_HISTOGRAM {
		return f
	}
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		name, ok := strings.CutSuffix(series, suffix)
		if f := families[name]; ok && f != nil && f.GetType() == dto.MetricType_HISTOGRAM {
			return f
		}
	}
	return nil
}
