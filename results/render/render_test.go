package render_test

import (
	"strings"
	"testing"
	"time"

	"archbench/common/view"
	"archbench/results"
	"archbench/results/render"
)

func us(n int64) *int64 { return &n }

func dist(p50, p90, p99 int64) *results.Percentiles {
	return &results.Percentiles{Count: 60_000, P50: us(p50), P90: us(p90), P99: us(p99), Max: us(2 * p99)}
}

func measurement(scenario, architecture string, trial int, change func(*results.Measurement)) results.Measurement {
	m := results.Measurement{
		Scenario: scenario, Workload: "synthetic", Architecture: architecture, Policy: "exact", Guarantee: "effectively-once", Trial: trial, Valid: true,
		Load:       results.Load{Events: 280_000, History: 200_000},
		Divergence: &results.Divergence{Reads: 300, RowsChecked: 1_000, Final: &results.FinalRows{RowsChecked: 5_000}},
		Cost:       &results.Cost{CPUS: 3.25, CPUSPerMillion: 12.5, RSSPeakBytes: 300 << 20, DiskBytes: 5 << 20},
	}
	change(&m)
	return m
}

func steady(architecture string, trial int, p99 int64) results.Measurement {
	return measurement("steady", architecture, trial, func(m *results.Measurement) {
		m.Load.OfferedPerS, m.Load.AchievedPerS = 2000, 1999.9
		m.Load.GeneratorLagUS, m.Load.HarnessCores = dist(600, 900, 3_300), 0.21
		m.FreshnessUS, m.AgeUS, m.AnswerUS = dist(2_000, 9_000, p99), dist(3_000, 8_000, 21_000), dist(1_000, 4_000, 11_000)
		m.Batches = &results.Batches{Count: 150}
	})
}

func result(ms ...results.Measurement) *results.Result {
	began := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	return &results.Result{
		Schema: results.Schema,
		Run:    results.Run{ID: "r", StartedAt: began, FinishedAt: began.Add(time.Minute), Seed: 7, Command: "archbench run --scenario steady", Commit: "abc", Dirty: true},
		Host:   results.Host{CPU: "Some CPU", Cores: 4, MemoryBytes: 24 << 30, OS: "Linux", Kernel: "6", Go: "go1", StealPercent: 0.25, CPUSets: results.CPUSets{Harness: []int{0, 1}, Architecture: []int{2, 3}}},
		Broker: results.Broker{Kind: "container", Product: "Apache Kafka", Version: "4.1.1", Partitions: 4},
		Workloads: []results.Workload{
			{ID: "synthetic", Source: "generator version 1", Parameters: map[string]string{"seed": "7"}},
			{ID: "synthetic", Source: "generator version 1", Parameters: map[string]string{"seed": "7"}},
		},
		Floors:       &results.Floors{ReadPerCPUS: 2_900_000, DecodePerCPUS: 1_500_000, ProduceConsumeUS: dist(1_400, 3_000, 5_300)},
		Measurements: ms,
	}
}

// line is the one line of a text that holds all the parts.
func line(t *testing.T, text string, parts ...string) string {
	t.Helper()
	var found []string
	for l := range strings.Lines(text) {
		holds := true
		for _, p := range parts {
			holds = holds && strings.Contains(l, p)
		}
		if holds {
			found = append(found, strings.TrimSuffix(l, "\n"))
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d lines hold %q, want one:\n%s", len(found), parts, text)
	}
	return found[0]
}

func want(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%q is not in\n%s", p, text)
		}
	}
}

func section(t *testing.T, report, title string) string {
	t.Helper()
	_, rest, ok := strings.Cut(report, "\n## "+title+"\n")
	if !ok {
		t.Fatalf("there is no section %s in\n%s", title, report)
	}
	body, _, _ := strings.Cut(rest, "\n## ")
	return body
}

func TestReportOfValidMeasurements(t *testing.T) {
	backfill := measurement("backfill", "lambda", 1, func(m *results.Measurement) {
		m.Throughput = &results.Throughput{Events: 546_726, Seconds: 2.44, EventsPerS: 223_862.7, EventsPerCPUS: 467_287.2}
	})
	cpu, memory := 4.5, int64(600<<20)
	reprocess := measurement("reprocess", "kappa", 1, func(m *results.Measurement) {
		m.Reprocess = &results.Reprocess{HistoryEvents: 492_536, Seconds: 9.04, EventsPerS: 54_484, FreshnessP99BeforeUS: us(19_000), FreshnessP99DuringUS: us(200_200), CPUS: &cpu, RSSPeakBytes: &memory}
		m.Notes = []string{"the live part ended before the switch"}
	})
	report := render.Report(result(steady("kappa", 1, 19_000), steady("lambda", 1, 23_400), backfill, reprocess))

	short := section(t, report, "The figures in short")
	want(t, line(t, short, "| steady: freshness p99 |"), "| 19.0 ms | 23.4 ms |")
	want(t, line(t, short, "| backfill: throughput |"), "| – | 223,863/s |")
	want(t, line(t, short, "| reprocess: time to the switch |"), "| 9.0 s | – |")
	want(t, line(t, short, "scenario: its figure"), "| kappa | lambda |")
	want(t, short, "No answer was wrong: 0 of 1,200 reads and 0 of 20,000 rows at the end")
	if strings.Contains(short, "Median") || strings.Contains(short, "invalid") {
		t.Errorf("one valid trial each is no median, and nothing is invalid:\n%s", short)
	}

	set := section(t, report, "What was run, and on what")
	want(t, set, "Some CPU, 4 cores, 24 GiB", "harness and broker on [0 1], the architecture on [2 3]", "0.2 % of the processors' time", "Apache Kafka 4.1.1 (container), 4 partitions")
	line(t, set, "Workload `synthetic`: generator version 1 (seed 7)") // once, although listed twice
	want(t, line(t, set, "| steady | kappa |"), "280,000 | 200,000 | 0 / 0 / 0 | 2,000/s | exact, effectively-once | 1 |")

	want(t, line(t, section(t, report, "Correctness"), "| backfill | lambda |"), "| 300 | 0 | 0 | 1,000 | 0 | 0 | 0 | £0.000 | 5,000 | 0 |")
	stale := section(t, report, "Staleness and response times")
	want(t, stale, "| steady | kappa | 1 | 60,000 | 2.0 ms | 9.0 ms | 19.0 ms | – | 38.0 ms |", "| steady | kappa | 1 | 60,000 | 3.0 ms | 8.0 ms | 21.0 ms | – | 42.0 ms |")
	want(t, section(t, report, "Backfill"), "| 546,726 | 2.4 s | 223,863/s | 467,287 |")
	want(t, section(t, report, "Reprocess"), "| 492,536 | 9.0 s | 54,484/s | 19.0 ms | 200.2 ms | 4.5 s | 600 MiB | – |")
	want(t, line(t, section(t, report, "Cost"), "| steady | lambda |"), "| 3.2 s | 12.5 s | 300 MiB | 5 MiB | – |")
	valid := section(t, report, "Validity")
	want(t, line(t, valid, "| steady | kappa |"), "| yes | 2,000/s | 2,000/s | 0.6 ms | 3.3 ms | 6.6 ms | 0.21 | 150 |")
	want(t, valid, "reprocess on kappa, trial 1: the live part ended before the switch")
	want(t, section(t, report, "Floors"), "| 2,900,000 |", "| 1,500,000 |", "| 1.4 ms |", "| 5.3 ms |")
	want(t, section(t, report, "How to repeat it"), "archbench run --scenario steady\n", "Seed 7, commit `abc` with changes that are in no commit")
	want(t, report, "does not rank Flink, Spark or Kafka Streams", "never targets")
}

func TestInvalidShowsNoFigure(t *testing.T) {
	bad := steady("kappa", 1, 77_700)
	bad.Valid, bad.InvalidBecause = false, []string{"the generator was late"}
	slow := measurement("backfill", "kappa", 1, func(m *results.Measurement) {
		m.Valid, m.InvalidBecause = false, []string{"2 events were never covered"}
		m.Throughput = &results.Throughput{Events: 10, Seconds: 77.7, EventsPerS: 77.7, EventsPerCPUS: 777}
	})
	switched := measurement("reprocess", "kappa", 1, func(m *results.Measurement) {
		m.Valid, m.InvalidBecause = false, []string{"the readers starved"}
		m.Reprocess = &results.Reprocess{HistoryEvents: 10, Seconds: 77.7, FreshnessP99DuringUS: us(77_700)}
	})
	for i, m := range []*results.Measurement{&bad, &slow, &switched} {
		m.Cost = &results.Cost{CPUS: 77.7, CPUSPerMillion: 77.7, RSSPeakBytes: 77 << 20, DiskBytes: 77 << 20}
		m.Trial = i + 1
	}
	r := result(bad, slow, switched)
	report, table := render.Report(r), render.Table(r)
	for name, text := range map[string]string{"report": report, "table": table} {
		if strings.Contains(text, "77") {
			t.Errorf("the %s shows a figure of an invalid measurement:\n%s", name, text)
		}
		want(t, text, "the generator was late", "2 events were never covered", "the readers starved")
	}
	short := section(t, report, "The figures in short")
	for _, scenario := range []string{"steady", "backfill", "reprocess"} {
		want(t, line(t, short, "| "+scenario+":"), "| invalid |")
	}
	want(t, short, "3 of 3 measurements are invalid")
	// correctness is shown all the same
	want(t, line(t, section(t, report, "Correctness"), "| steady | kappa |"), "| 300 | 0 |")
	want(t, line(t, table, "steady  "), "invalid", "0 of 300", "NO")
}

func TestTooFewAnnouncements(t *testing.T) {
	m := steady("unified", 1, 0)
	m.FreshnessUS = &results.Percentiles{Count: 60_000, P50: us(394_000), P90: us(606_000), Max: us(1_250_000), Note: "too few announcements (58) for p99, which needs 100"}
	report := render.Report(result(m))
	want(t, line(t, section(t, report, "The figures in short"), "| steady:"), "| too few announcements (58); p90 is 606.0 ms |")
	want(t, section(t, report, "Staleness and response times"), "| 394.0 ms | 606.0 ms | too few announcements (58) | – | 1.25 s |", "p99 needs 100")
	want(t, line(t, section(t, report, "Validity"), "| steady | unified |"), "| yes |")
	want(t, line(t, render.Table(result(m)), "steady "), "too few announcements (58)", "yes")
}

func TestWrongAnswersAreSaidFirst(t *testing.T) {
	m := steady("kappa", 1, 19_000)
	m.Divergence.ReadsWrong, m.Divergence.RowsWrong, m.Divergence.MaxAbsMilli = 3, 4, 1_234_567
	m.Divergence.Final.RowsMissing = 2
	m.Divergence.Views = map[view.Name]view.Difference{view.TopProducts: {Checked: 1_000, Wrong: 4, Missing: 2, MaxAbsMilli: 1_234_567}, view.SpendAlerts: {Checked: 9}}
	m.Divergence.Examples = []string{"row 7 has 1 unit instead of 2"}
	r := result(m)
	report := render.Report(r)
	want(t, section(t, report, "The figures in short"), "**Answers were wrong**: 3 of 300 reads and 2 of 5,000 rows at the end")
	correct := section(t, report, "Correctness")
	want(t, correct, "| 300 | 3 | 0 | 1,000 | 4 | 0 | 0 | £1,234.567 | 5,000 | 2 |", "**steady on kappa, trial 1, top_products**: of 1,000 rows 4 differ, 2 are missing, 0 are extra, by up to £1,234.567", "row 7 has 1 unit instead of 2")
	if strings.Contains(correct, "spend_alerts") {
		t.Errorf("a view without a fault is named among those with one:\n%s", correct)
	}
	want(t, line(t, render.Table(r), "steady "), "3 of 300", "2 of 5,000")
}

// Alerts are shown with how long they took, and those that are wrong are said first.
func TestReportOfAlerts(t *testing.T) {
	of := func(missing int64) *results.Result {
		m := steady("kappa", 1, 19_000)
		m.AlertUS = dist(4_000, 9_000, 22_200)
		m.Alerts = &results.Alerts{Expected: 812, Missing: missing, Repeated: 5}
		if missing > 0 {
			m.Alerts.Examples = []string{"that of customer 7 never came"}
		}
		return result(m)
	}
	report := render.Report(of(0))
	want(t, section(t, report, "Correctness"), "| steady | kappa | 1 | 812 | 0 | 0 | 0 | 5 |")
	want(t, section(t, report, "Staleness and response times"), "**Alert time.**", "| 4.0 ms | 9.0 ms | 22.2 ms |")
	want(t, section(t, report, "The figures in short"), "No answer was wrong")
	report = render.Report(of(3))
	want(t, section(t, report, "The figures in short"), "**Alerts were wrong**: 3 were missing, extra or wrong")
	want(t, section(t, report, "Correctness"), "| 812 | 3 | 0 | 0 | 5 |", "that of customer 7 never came")
}

func TestTrialsGiveMedianAndRange(t *testing.T) {
	bad := steady("kappa", 4, 900_000)
	bad.Valid, bad.InvalidBecause = false, []string{"stolen"}
	r := result(steady("kappa", 1, 30_000), steady("kappa", 2, 10_000), steady("kappa", 3, 17_000), bad, steady("lambda", 1, 20_000), steady("lambda", 2, 25_000))
	short := section(t, render.Report(r), "The figures in short")
	want(t, line(t, short, "| steady:"), "| 17.0 ms (10.0 ms to 30.0 ms) | 22.5 ms (20.0 ms to 25.0 ms) |")
	want(t, short, "Median of the valid trials", "1 of 6 measurements are invalid")
	want(t, line(t, render.Table(r), "steady", "kappa", "3 of 4"), "17.0 ms (10.0 ms to 30.0 ms)", "0 of 1,200")
}

func TestVariantsStandApart(t *testing.T) {
	short, long := steady("unified", 1, 300_000), steady("unified", 1, 1_300_000)
	short.Variant, long.Variant = map[string]string{"trigger": "250ms"}, map[string]string{"trigger": "1s"}
	body := section(t, render.Report(result(short, long)), "The figures in short")
	want(t, line(t, body, "trigger 250ms): freshness p99"), "| 300.0 ms |")
	want(t, line(t, body, "trigger 1s): freshness p99"), "| 1.30 s |")
}

func TestTheStandInIsMarked(t *testing.T) {
	r := result(steady("kappa", 1, 19_000))
	const mark = "not Apache Kafka: no latency or throughput here is Kafka's"
	if strings.Contains(render.Report(r)+render.Table(r), mark) {
		t.Error("Kafka is called a stand-in")
	}
	r.Broker = results.Broker{Kind: "embedded", Product: "kfake", Partitions: 4, Compression: "zstd", Because: []string{"container: no daemon"}}
	r.Host.CPUSets.SharedCPU = true
	r.Run.Notes = []string{"the data was not found"}
	report := render.Report(r)
	opening, _, _ := strings.Cut(report, "\n## ")
	want(t, opening, mark, "> the data was not found")
	want(t, report, "4 partitions of each topic, what is written compressed by zstd")
	want(t, report, "kfake (embedded)", "Passed over: container: no daemon", "`shared_cpu`")
	want(t, render.Table(r), mark, "kfake (embedded)", "the data was not found")
}

func TestNothingMeasured(t *testing.T) {
	r := result()
	r.Floors, r.Workloads = nil, nil
	report := render.Report(r)
	want(t, report, "No answer was judged.")
	for _, absent := range []string{"## Floors", "## Backfill", "## Reprocess", "## Cost", "NaN", "%!"} {
		if strings.Contains(report, absent) {
			t.Errorf("%s is in the report of nothing:\n%s", absent, report)
		}
	}
	render.Table(r)
}

func TestColumnsSurviveAnyName(t *testing.T) {
	m := steady("flink|fast", 1, 19_000)
	report := render.Report(result(m))
	for l := range strings.Lines(section(t, report, "Cost")) {
		if strings.HasPrefix(l, "|") && strings.Count(strings.ReplaceAll(l, `\|`, ""), "|") != 9 {
			t.Errorf("a row of other columns: %s", l)
		}
	}
}

// Under policy bounded what is off by design and what is wrong are told apart.
func TestReportOfPolicyBounded(t *testing.T) {
	bounded := func(wrong int64) *results.Result {
		return result(measurement("steady", "kappa", 1, func(m *results.Measurement) {
			m.Policy = "bounded"
			m.Divergence.ReadsWrong, m.Divergence.RowsWrong, m.Divergence.Final.RowsWrong = 31, 77, 123
			m.Divergence.Views = map[view.Name]view.Difference{view.RevenueByCountry: {Checked: 900, Wrong: 77}}
			m.PolicyDivergence = &results.Divergence{Reads: 215, RowsChecked: 800, RowsWrong: wrong, ReadsWrong: wrong, Final: &results.FinalRows{RowsChecked: 4_000}}
			m.DistinctError = &results.DistinctError{P50: 0.0021, P99: 0.0163, Max: 0.0249}
		}))
	}
	report := render.Report(bounded(0))
	want(t, section(t, report, "The figures in short"), "No answer was wrong: 0 of 215 reads and 0 of 4,000 rows at the end", "by the policy's own definitions")
	correct := section(t, report, "Correctness")
	want(t, line(t, correct, "| steady | kappa |", "| 300 |"), "| 31 |", "| 77 |", "| 123 |")
	want(t, line(t, correct, "| steady | kappa |", "| 215 |"), "| 215 | 0 | 0 | 800 | 0 | 0 | 0 | £0.000 | 4,000 | 0 |")
	want(t, line(t, correct, "| steady | kappa |", "%"), "| 0.21 % | 1.63 % | 2.49 % |")
	want(t, line(t, correct, "revenue_by_country**"), "of 900 rows 77 differ")
	want(t, render.Table(bounded(0)), "0 of 215", "0 of 4,000", "under policy bounded: 31 of 300 reads differ from the exact answers, and 123 of 5,000 rows at the end")
	want(t, section(t, render.Report(bounded(3)), "The figures in short"), "**Answers were wrong**: 3 of 215 reads")
}
