package scenario

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"archbench/bench/ledger"
	"archbench/bench/readers"
	"archbench/common/architecture"
	"archbench/common/view"
	"archbench/results"
	"archbench/results/hlog"
	broker "archbench/testcontainers"
	"archbench/workloads/disturb"
)

// lines is a place for progress that may be read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// testPlan is a run small enough for a test, on the embedded broker.
func testPlan(t *testing.T, scenarios, architectures []string) (Plan, *lines) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	progress := &lines{}
	params := view.DefaultParams()
	params.AlertThresholdMilli = 30_000 // so that some alerts are owed by few events
	return Plan{
		Scenarios: scenarios, Architectures: architectures,
		Broker:     broker.Options{Kind: broker.Embedded, Dir: t.TempDir(), Embedded: []string{self, "fake-broker"}},
		Partitions: 2, Params: params, Policy: architecture.Exact, Guarantee: architecture.EffectivelyOnce,
		Workload: "synthetic", Rate: 400, Duration: time.Second, Events: 2000, History: 500, Trigger: time.Second, BatchInterval: time.Second,
		ReadsPerS: 50, Seed: 7, Trials: 1, Out: filepath.Join(t.TempDir(), "run"), Executable: []string{self, "fake-engine"},
		CommandLine: "archbench run", Progress: progress,
		ArchitectureConfig: func(path string, c ProcessConfig) error {
			content, err := json.Marshal(c)
			if err != nil {
				return err
			}
			return os.WriteFile(path, content, 0o644)
		},
		fixed: fixed{warmUp: 300 * time.Millisecond, patience: 2 * time.Second, floorEvents: 5000, floorLive: 200 * time.Millisecond},
	}, progress
}

// find returns a measurement of the result.
func find(t *testing.T, r *results.Result, scenario, architecture string) *results.Measurement {
	t.Helper()
	for i := range r.Measurements {
		if m := &r.Measurements[i]; m.Scenario == scenario && m.Architecture == architecture {
			return m
		}
	}
	t.Fatalf("no %s on %s among %d measurements", scenario, architecture, len(r.Measurements))
	return nil
}

// The whole harness with a right architecture, a wrong one and one that stands
// still, each a process of its own.
func TestRun(t *testing.T) {
	p, progress := testPlan(t, Scenarios(), []string{right, wrong, stalling})
	r, err := Run(t.Context(), p)
	var failed *FailedError
	if !errors.As(err, &failed) || r == nil {
		t.Fatalf("%v, want that %s failed\n%s", err, stalling, progress)
	}
	for _, m := range failed.Measurements {
		if !strings.Contains(m, "on "+stalling) {
			t.Errorf("failed: %s", m)
		}
	}
	t.Log(progress)
	if len(r.Measurements) != 9 {
		t.Fatalf("%d measurements, want 9", len(r.Measurements))
	}
	read, err := results.Read(p.Out) // fits the schema
	if err != nil || len(read.Measurements) != 9 {
		t.Errorf("%v", err)
	}
	for _, s := range Scenarios() {
		t.Run(s, func(t *testing.T) {
			checkRight(t, p, s, find(t, r, s, right))
			checkFiles(t, p, s)
			if m := find(t, r, s, wrong); !m.Divergence.Any() || m.Divergence.Final.RowsWrong == 0 || m.Divergence.ReadsWrong == 0 && s != Backfill {
				t.Errorf("planted errors were not found: %+v", m.Divergence)
			}
			if m := find(t, r, s, wrong); m.Alerts.Missing == 0 || m.Alerts.Wrong == 0 || m.Alerts.Extra != 0 || len(m.Alerts.Examples) == 0 || s != Backfill && m.Valid {
				t.Errorf("planted errors in alerts were not found, valid %v: %+v", m.Valid, m.Alerts)
			}
			for _, name := range []string{right, wrong, stalling} {
				checkGone(t, filepath.Join(p.Out, s, name, "trial-1", "pid"))
			}
		})
	}
	checkStalled(t, find(t, r, Steady, stalling))
	for _, says := range []string{"9 measurements, about", "[9/9]", "floors: read"} {
		if !strings.Contains(progress.String(), says) {
			t.Errorf("progress does not say %q", says)
		}
	}
	if strings.Contains(progress.String(), clearLine) {
		t.Error("a live line was written although nobody sits at a terminal")
	}
}

// checkRight checks what must hold on a machine of any speed; whether the gates
// let it pass is not among that.
func checkRight(t *testing.T, p Plan, scenario string, m *results.Measurement) {
	t.Helper()
	d := m.Divergence
	if d.Any() || d.Reads == 0 || d.RowsChecked == 0 && scenario != Backfill || d.Final.RowsChecked == 0 || d.Unanswered != 0 { // a small backfill is over before the second read
		t.Errorf("divergence %+v", d)
	}
	if m.Cost == nil || m.Cost.RSSPeakBytes == 0 || m.AnswerUS.Count == 0 {
		t.Errorf("cost %+v answers %+v", m.Cost, m.AnswerUS)
	}
	if a := m.Alerts; a.Any() || a.Expected == 0 || a.Repeated != a.Expected { // the engine sends each twice
		t.Errorf("alerts %+v", a)
	}
	if scenario == Backfill != (m.AlertUS == nil) || m.AlertUS != nil && (m.AlertUS.Count == 0 || m.AlertUS.Count >= m.Alerts.Expected && scenario == Steady) {
		t.Errorf("alert times %+v of %+v", m.AlertUS, m.Alerts) // those of the window alone
	}
	switch scenario {
	case Steady:
		if n := m.FreshnessUS.Count; n != 400 { // the window alone
			t.Errorf("freshness of %d events, want 400", n)
		}
		if m.Load.History != 500 || m.Load.Events != 500+520 || m.Load.OfferedPerS != 400 || m.AgeUS.Count == 0 || m.Batches == nil {
			t.Errorf("load %+v age %+v batches %v", m.Load, m.AgeUS, m.Batches)
		}
		if m.Window.ToUS-m.Window.FromUS != time.Second.Microseconds() {
			t.Errorf("window %+v", m.Window)
		}
	case Backfill:
		if m.Throughput.Events != 2000 || m.Throughput.Seconds <= 0 || m.FreshnessUS != nil || m.AgeUS != nil || m.Load.GeneratorLagUS != nil {
			t.Errorf("throughput %+v freshness %v", m.Throughput, m.FreshnessUS)
		}
	case Reprocess:
		live := int64(199) // a tenth of the lines
		if m.Reprocess.HistoryEvents != 2000-live || m.Reprocess.Seconds <= 0 || m.FreshnessUS.Count != live || m.Load.Events != 2000 || m.Reprocess.CPUS == nil {
			t.Errorf("reprocess %+v freshness of %d events", m.Reprocess, m.FreshnessUS.Count)
		}
		heads, err := os.ReadFile(filepath.Join(p.Out, Reprocess, right, "trial-1", "views.coverage"))
		if err != nil || strings.Count(string(heads), " 2 orders=") != 7 {
			t.Errorf("the dumped views are not of rules 2: %s %v", heads, err)
		}
	}
}

// checkFiles checks that the raw files are there and agree with the result.
func checkFiles(t *testing.T, p Plan, scenario string) {
	t.Helper()
	dir := filepath.Join(p.Out, scenario, right, "trial-1")
	for _, name := range []string{"coverage.csv", "usage.csv", "timeline.csv", "alerts.csv", "faults.csv", "process.log", "config.yaml"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "data")); err == nil {
		t.Error("the data directory was left")
	}
	l, err := ledger.ReadFile(filepath.Join(dir, "ledger.zst"), p.Partitions)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range view.Names() {
		content, err := os.ReadFile(filepath.Join(dir, "views", string(v)+".csv"))
		if head := strings.Join(v.Schema().Header(), ",") + "\n"; err != nil || !strings.HasPrefix(string(content), head) {
			t.Errorf("%s: %v", v, err)
		}
	}
	var entries, answered int64
	if err := readers.ReadSpool(filepath.Join(dir, "answers.zst"), func(e *readers.Entry) error { entries++; return nil }); err != nil {
		t.Error(err)
	}
	r, err := results.Read(p.Out)
	if err != nil {
		t.Fatal(err)
	}
	m := find(t, r, scenario, right)
	if answered = m.Divergence.Reads + m.Divergence.Unanswered; entries != answered {
		t.Errorf("%d reads in the spool, %d judged", entries, answered)
	}
	if l.End().Sum() != m.Load.Events {
		t.Errorf("%d records in the ledger, %d events sent", l.End().Sum(), m.Load.Events)
	}
	if content, err := os.ReadFile(filepath.Join(dir, "alerts.csv")); err != nil || int64(bytes.Count(content, []byte("\n"))) != 1+2*m.Alerts.Expected {
		t.Errorf("alerts.csv does not hold a line for each record: %v\n%s", err, content)
	}
	for name, want := range map[string]*results.Percentiles{"alerts.hlog": m.AlertUS, "answers.hlog": m.AnswerUS, "freshness.hlog": m.FreshnessUS, "sends.hlog": m.Load.GeneratorLagUS} {
		if want == nil {
			continue
		}
		h, err := hlog.Read(filepath.Join(dir, name))
		if err != nil || h.TotalCount() != want.Count || h.Max() != *want.Max || h.ValueAtQuantile(50) != *want.P50 {
			t.Errorf("%s disagrees with the result: %v", name, err)
		}
	}
}

// checkGone fails if the process whose id is in the file still runs.
func checkGone(t *testing.T, path string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(string(content))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d is left: %v", pid, err)
	}
}

// Events that were never covered count with their age, and spoil the measurement.
func checkStalled(t *testing.T, m *results.Measurement) {
	t.Helper()
	why := strings.Join(m.InvalidBecause, "; ")
	if m.Valid || !strings.Contains(why, "covering the live events took longer") || !strings.Contains(why, "events were never covered") {
		t.Errorf("valid %v: %s", m.Valid, why)
	}
	if m.FreshnessUS.Count != 400 || *m.FreshnessUS.Max < (2*time.Second).Microseconds() {
		t.Errorf("freshness %+v, want all events with ages over the patience", m.FreshnessUS)
	}
	if m.Divergence.ReadsWrong != 0 || m.Divergence.Final != nil {
		t.Errorf("late is not wrong: %+v", m.Divergence)
	}
}

// What is laid over a workload is counted, stands among its parameters, and
// makes no right answer wrong.
func TestDisturbedWorkload(t *testing.T) {
	for _, c := range []struct {
		scenario string
		events   int64
		half     string
	}{
		{Backfill, 2000, "from event 1000"},
		{Steady, 0, "from event 510"}, // of 500, and of 400/s for 1.3 s
	} {
		t.Run(c.scenario, func(t *testing.T) {
			p, progress := testPlan(t, []string{c.scenario}, []string{right})
			p.Events = c.events
			p.Disturb = disturb.Params{Late: 0.05, Lateness: time.Second, OutOfOrder: 0.1, Displacement: 20, Duplicates: 0.1, Poison: 0.05, LateProfiles: 0.5, Skew: 0.01, Schema2: true}
			r, err := Run(t.Context(), p)
			if err != nil {
				t.Fatalf("%v\n%s", err, progress)
			}
			m := find(t, r, c.scenario, right)
			if m.Divergence.Any() || m.Load.Duplicates == 0 || m.Load.Late == 0 || m.Load.Poison == 0 {
				t.Errorf("divergence %+v, load %+v", m.Divergence, m.Load)
			}
			if c.events > 0 && m.Load.Events != c.events+m.Load.Duplicates+m.Load.Poison {
				t.Errorf("load %+v", m.Load)
			}
			w := r.Workloads[0].Parameters
			if w["disturb.schema2"] != c.half || w["disturb.poison"] != "0.05" || w["disturb.seed"] != "7" {
				t.Errorf("parameters %v", w)
			}
		})
	}
}

// Under policy bounded an engine is judged by the policy's own definitions and
// against the exact ones, but for one that says that it keeps to the latter.
func TestBounded(t *testing.T) {
	p, progress := testPlan(t, []string{Backfill}, []string{right, wrong, exactly})
	p.Policy, p.Lateness = architecture.Bounded, 2*time.Second
	p.Disturb = disturb.Params{Late: 0.1, Lateness: 10 * time.Second, Displacement: 1}
	r, err := Run(t.Context(), p)
	if err != nil {
		t.Fatalf("%v\n%s", err, progress)
	}
	m := find(t, r, Backfill, right)
	if m.Policy != "bounded" || m.Variant["allowed_lateness"] != "2s" || m.PolicyDivergence.Any() || m.PolicyDivergence.Final.RowsChecked == 0 || m.Divergence.Final.Wrong() == 0 {
		t.Errorf("%s %v: divergence %+v, from the policy %+v", m.Policy, m.Variant, m.Divergence, m.PolicyDivergence)
	}
	if m.Alerts.Any() || m.Alerts.Expected == 0 {
		t.Errorf("alerts %+v", m.Alerts)
	}
	if e := m.DistinctError; e == nil || e.Max != 0 {
		t.Errorf("distinct error %+v", e)
	}
	if m := find(t, r, Backfill, wrong); m.PolicyDivergence.Final.Wrong() == 0 || m.DistinctError == nil {
		t.Errorf("planted errors were not found: %+v, %+v", m.PolicyDivergence, m.DistinctError)
	}
	if m := find(t, r, Backfill, exactly); m.Policy != "exact" || m.PolicyDivergence != nil || m.DistinctError != nil || m.Divergence.Any() || m.Divergence.Final.RowsChecked == 0 {
		t.Errorf("one that is always exact: %s, divergence %+v, from the policy %+v", m.Policy, m.Divergence, m.PolicyDivergence)
	}
	if _, err := results.Read(p.Out); err != nil { // fits the schema
		t.Error(err)
	}
}

// Under a lesser guarantee the guarantee is passed on and stands in the result, and
// an engine that counts what came twice is right by its own definitions alone.
func TestLesserGuarantee(t *testing.T) {
	p, progress := testPlan(t, []string{Backfill}, []string{right, exactly})
	p.Policy, p.Lateness, p.Guarantee = architecture.Bounded, 2*time.Second, architecture.AtLeastOnce
	p.Disturb = disturb.Params{Duplicates: 0.1}
	r, err := Run(t.Context(), p)
	if err != nil {
		t.Fatalf("%v\n%s", err, progress)
	}
	for name, policy := range map[string]string{right: "bounded", exactly: "exact"} {
		m := find(t, r, Backfill, name)
		if m.Policy != policy || m.Guarantee != "at-least-once" || m.PolicyDivergence.Any() || m.PolicyDivergence.Final.RowsChecked == 0 || m.Divergence.Final.Wrong() == 0 {
			t.Errorf("%s under %s with %s: divergence %+v, from its own definitions %+v", name, m.Policy, m.Guarantee, m.Divergence, m.PolicyDivergence)
		}
		if m.Alerts.Any() || m.Alerts.Expected == 0 {
			t.Errorf("%s: alerts %+v", name, m.Alerts)
		}
	}
	if _, err := results.Read(p.Out); err != nil { // fits the schema
		t.Error(err)
	}
}

// An engine that somebody else runs is told its topics and measured like the others.
func TestEngineBehindAURL(t *testing.T) {
	m, address, progress := measureEngine(t, Steady, "mine", right)
	if m.Divergence.Any() || m.Divergence.Reads == 0 || m.FreshnessUS.Count != 400 || m.Cost != nil || m.Batches != nil {
		t.Errorf("divergence %+v cost %v batches %v", m.Divergence, m.Cost, m.Batches)
	}
	if !strings.Contains(progress.String(), "waiting for mine at http://"+address) {
		t.Errorf("progress does not say what the engine must follow:\n%s", progress)
	}
}

// An engine that announces what cannot be true spoils its own measurement, not the run.
func TestEngineThatAnnouncesAhead(t *testing.T) {
	m, _, _ := measureEngine(t, Steady, ahead, ahead)
	if why := strings.Join(m.InvalidBecause, "; "); m.Valid || !strings.Contains(why, "which holds only") || m.FreshnessUS != nil {
		t.Errorf("valid %v, because %s, freshness %+v", m.Valid, why, m.FreshnessUS)
	}
}

// measureEngine runs a scenario on a fake that is started as a foreign engine is.
func measureEngine(t *testing.T, scenario, name, behaviour string) (m *results.Measurement, address string, progress *lines) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = l.Addr().String()
	l.Close() // the engine will listen there
	p, progress := testPlan(t, []string{scenario}, []string{name + "=http://" + address})
	p.fixed.patience = 30 * time.Second
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	served := make(chan error, 1)
	go func() {
		served <- serveWhenTold(ctx, behaviour, filepath.Join(p.Out, scenario, name, "trial-1", "config.yaml"), address)
	}()
	r, err := Run(ctx, p)
	if err != nil {
		t.Fatalf("%v\n%s", err, progress)
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
	return find(t, r, scenario, name), address, progress
}

// serveWhenTold waits for the configuration, as a launcher of a foreign engine does.
func serveWhenTold(ctx context.Context, behaviour, config, address string) error {
	for {
		if c, err := readConfig(config); err == nil && c.Topics != "" {
			return serveFake(ctx, behaviour, config, address)
		}
		if err := pause(ctx, poll); err != nil {
			return err
		}
	}
}

func TestCancelLeavesNothing(t *testing.T) {
	p, _ := testPlan(t, []string{Steady}, []string{right})
	p.Duration, p.Events = time.Minute, 0
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	pid := filepath.Join(p.Out, Steady, right, "trial-1", "pid")
	go func() {
		for ctx.Err() == nil {
			if content, err := os.ReadFile(pid); err == nil && len(content) > 0 {
				cancel()
			}
			_ = pause(ctx, poll)
		}
	}()
	r, err := Run(ctx, p)
	if r != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("%v %v, want no result", r, err)
	}
	checkGone(t, pid)
	if _, err := os.Stat(filepath.Join(p.Out, results.FileName)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a result was claimed: %v", err)
	}
}

func TestAProcessThatDoesNotStart(t *testing.T) {
	p, _ := testPlan(t, []string{Backfill}, []string{right})
	p.Executable = []string{"/bin/sh", "-c", "echo the port is in use >&2; exit 2"}
	r, err := Run(t.Context(), p)
	if failed := (*FailedError)(nil); !errors.As(err, &failed) || !strings.Contains(err.Error(), "the port is in use") {
		t.Errorf("%v", err)
	}
	if m := find(t, r, Backfill, right); m.Valid || m.Throughput != nil {
		t.Errorf("%+v", m)
	}
}

func TestCheckRefuses(t *testing.T) {
	good, _ := testPlan(t, []string{Steady}, []string{right})
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for says, change := range map[string]func(*Plan){
		"unknown scenario":             func(p *Plan) { p.Scenarios = []string{"stedy"} },
		"unknown suite":                func(p *Plan) { p.Suite = "slow" },
		"neither a suite":              func(p *Plan) { p.Scenarios = nil },
		"unknown architecture":         func(p *Plan) { p.Architectures = []string{"spark"} },
		"no architecture":              func(p *Plan) { p.Architectures = nil },
		"named twice":                  func(p *Plan) { p.Architectures = []string{right, right} },
		"a name of its own":            func(p *Plan) { p.Architectures = []string{"kappa=http://localhost:1"} },
		"want NAME=http://HOST:PORT":   func(p *Plan) { p.Architectures = []string{"mine=localhost:1"} },
		"partitions must be":           func(p *Plan) { p.Partitions = 0 },
		"rate must be positive":        func(p *Plan) { p.Rate = -1 },
		"duration must be positive":    func(p *Plan) { p.Duration = 0 },
		"trials must be":               func(p *Plan) { p.Trials = 0 },
		"events must not be negative":  func(p *Plan) { p.Events = -1 },
		"history must not be negative": func(p *Plan) { p.History = -1 },
		"trigger must be":              func(p *Plan) { p.Trigger = 0 },
		"batch-interval must be":       func(p *Plan) { p.BatchInterval = 0 },
		"reads must be":                func(p *Plan) { p.ReadsPerS = 0 },
		"suite quick runs under":       func(p *Plan) { p.Suite, p.Scenarios, p.Policy = Quick, nil, architecture.Bounded },
		"allowed_lateness is":          func(p *Plan) { p.Lateness = -time.Second },
		"disturb.late":                 func(p *Plan) { p.Disturb.Late = 2 },
		"unknown workload":             func(p *Plan) { p.Workload = "retail" },
		"windows.tumbling":             func(p *Plan) { p.Params.Tumbling = 0 },
	} {
		p := good
		change(&p)
		if err := p.Check(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
}

// The quick suite is fixed, and the architectures take turns in going first.
func TestQuickSuite(t *testing.T) {
	p, _ := testPlan(t, nil, Architectures())
	p.Suite, p.fixed = Quick, fixed{}
	cells, err := p.cells()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range cells {
		got = append(got, fmt.Sprintf("%s %s %s", c.scenario, c.name, c.workload))
	}
	want := []string{
		"steady lambda synthetic", "steady kappa synthetic", "steady unified synthetic",
		"backfill kappa online-retail", "backfill unified online-retail", "backfill lambda online-retail",
		"reprocess unified online-retail", "reprocess lambda online-retail", "reprocess kappa online-retail",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if c := cells[0]; c.duration != 30*time.Second || c.warmUp != 10*time.Second || c.trigger != 500*time.Millisecond || c.batchInterval != 4*time.Second {
		t.Errorf("steady: %+v", c)
	}
	p.Suite, p.Scenarios, p.Trials, p.BatchInterval, p.Trigger = "", []string{Steady}, 2, 10*time.Second, time.Second
	if cells, err = p.cells(); err != nil || cells[0].warmUp != 20*time.Second || cells[0].name != "lambda" || cells[3].name != "kappa" || cells[3].trial != 2 {
		t.Errorf("%v %+v", err, cells)
	}
	p.Trigger = 6 * time.Second
	if cells, err = p.cells(); err != nil || cells[0].warmUp != 30*time.Second {
		t.Errorf("warm-up %v, want 5 triggers", cells[0].warmUp)
	}
}

func TestLivePartOfAReprocess(t *testing.T) {
	for _, c := range []struct {
		lines int64
		rate  float64
		want  int64
	}{{541_909, 2000, 54_190}, {541_909, 500, 15_000}, {500_000, 5000, 50_000}, {9, 100, 0}} {
		if got := liveEvents(c.lines, c.rate); got != c.want {
			t.Errorf("%d lines at %.0f/s: %d live, want %d", c.lines, c.rate, got, c.want)
		}
	}
}
