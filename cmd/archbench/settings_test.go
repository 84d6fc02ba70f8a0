package main

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"archbench/bench/scenario"
	"archbench/common/architecture"
	"archbench/common/eventlog/kafkalog/kafkalogtest"
	"archbench/common/view"
	"archbench/results"
	"archbench/workloads/disturb"
)

// loaded reads the settings of a command line of serve and run together.
func loaded(t *testing.T, args ...string) *options {
	t.Helper()
	c := &cobra.Command{Use: "x"}
	var keys []string
	for _, s := range settings() {
		if s.flag != "" {
			keys = append(keys, s.key)
		}
	}
	o := newOptions(c, keys...)
	if err := c.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	if err := o.load(); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestPrecedence(t *testing.T) {
	path := file(t, "c.yaml", "rate: 1\nseed: 1\ntrials: 1\ntop_k: 1\nscenario: [steady, backfill]\nstrict: true\nwindows:\n  top: 2h\n")
	t.Setenv("ARCHBENCH_SEED", "2")
	t.Setenv("ARCHBENCH_TRIALS", "2")
	t.Setenv("ARCHBENCH_TOP_K", "2")
	t.Setenv("ARCHBENCH_RATE", "") // empty is not set
	o := loaded(t, "--config", path, "--trials", "3", "--set", "top_k=3")
	for _, c := range []struct{ key, value, source string }{
		{"partitions", "4", "default"},
		{"rate", "1", path},
		{"seed", "2", "ARCHBENCH_SEED"},
		{"trials", "3", "--trials"},
		{"top_k", "3", "--set"},
		{"scenario", "steady,backfill", path},
		{"strict", "true", path},
		{"windows.top", "2h", path},
		{"windows.distinct", "1h", "default"},
	} {
		s, known := find(c.key)
		if got := o.text(c.key); !known || got != c.value || o.source(s) != c.source {
			t.Errorf("%s is %q from %s, want %q from %s", c.key, got, o.source(s), c.value, c.source)
		}
	}
	if o.params().Top != 2*time.Hour || o.params().TopK != 3 || !o.flag("strict") || !slices.Equal(o.list("scenario"), []string{"steady", "backfill"}) {
		t.Errorf("typed: %+v", o.params())
	}
}

func TestDisturbances(t *testing.T) {
	if off := loaded(t).disturbances(); off != (disturb.Params{Lateness: 10 * time.Minute, Displacement: 100}) {
		t.Errorf("unless told otherwise %+v", off)
	}
	path := file(t, "c.yaml", "disturb:\n  late: 0.05\n  out_of_order: 0.06\n  schema2: true\n  poison: 0.001\n")
	t.Setenv("ARCHBENCH_DISTURB_POISON", "0.002")
	t.Setenv("ARCHBENCH_DISTURB_LATE_PROFILES", "0.5")
	got := loaded(t, "--config", path, "--set", "disturb.lateness=1h", "--set", "disturb.duplicates=0.03", "--set", "disturb.displacement=7", "--set", "disturb.skew=0.004").disturbances()
	want := disturb.Params{Late: 0.05, Lateness: time.Hour, OutOfOrder: 0.06, Displacement: 7, Duplicates: 0.03, Poison: 0.002, LateProfiles: 0.5, Skew: 0.004, Schema2: true}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestDefaultsAreTheWorkloads(t *testing.T) {
	if d := cmp.Diff(view.DefaultParams(), loaded(t).params()); d != "" {
		t.Error(d)
	}
	for _, s := range settings() {
		if err := s.kind.check(s.value); err != nil {
			t.Errorf("the default of %s: %v", s.key, err)
		}
		if s.kind == boolean && s.flag == "" && s.value == "" {
			t.Errorf("%s has no default", s.key)
		}
	}
}

// TestConfigFileIsReadBack holds that the printed file says exactly what is in force.
func TestConfigFileIsReadBack(t *testing.T) {
	args := []string{"--set", "workload.path=a, b: c#d", "--faults", "x=1,bug:y", "--rate", "1234.5", "--scenario", "steady,backfill", "--strict"}
	code, out, stderr := inProcess(t, append([]string{"config", "--yaml"}, args...)...)
	if code != exitDone {
		t.Fatal(stderr)
	}
	want, got := loaded(t, args...), loaded(t, "--config", file(t, "c.yaml", out))
	for _, s := range settings() {
		if want.text(s.key) != got.text(s.key) {
			t.Errorf("%s was %q and is %q", s.key, want.text(s.key), got.text(s.key))
		}
		if !strings.Contains(out, "# "+s.meaning) {
			t.Errorf("the file does not say what %s means", s.key)
		}
	}
	_, shown, _ := inProcess(t, "config")
	for _, s := range settings() {
		if !strings.Contains(shown, s.meaning) || !strings.Contains(shown, s.variable()) {
			t.Errorf("config does not show %s", s.key)
		}
	}
}

// TestCommittedConfiguration holds that archbench.yaml in the repository says what
// the definitions say, and nothing else.
func TestCommittedConfiguration(t *testing.T) {
	path := filepath.Join("..", "..", "archbench.yaml")
	committed, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want, err := configFile(func(key string) string { s, _ := find(key); return s.value })
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(committed)); d != "" {
		t.Errorf("run make config; the file differs: %s", d)
	}
	o := loaded(t, "--config", path)
	for _, s := range settings() {
		if o.text(s.key) != s.value || o.source(s) != path {
			t.Errorf("%s is %q from %s, want its default %q", s.key, o.text(s.key), o.source(s), s.value)
		}
	}
}

// TestQuickIsExact holds that suite quick runs under policy exact whatever a file
// says, and that the configuration it leaves says so, while scenarios follow the settings.
func TestQuickIsExact(t *testing.T) {
	bounded := filepath.Join("..", "..", "archbench.yaml")
	out := t.TempDir()
	for _, c := range []struct {
		args []string
		want architecture.Policy
	}{
		{nil, architecture.Exact},
		{[]string{"--config", bounded}, architecture.Exact},
		{[]string{"--policy", "exact"}, architecture.Exact},
		{[]string{"--scenario", "steady"}, architecture.Bounded},
		{[]string{"--scenario", "steady", "--policy", "exact"}, architecture.Exact},
	} {
		o := loaded(t, append(c.args, "--out", out)...)
		p, err := plan(o, io.Discard)
		if err != nil || p.Policy != c.want {
			t.Fatalf("%v: policy %s, want %s: %v", c.args, p.Policy, c.want, err)
		}
		if err := writeEffective(o, p); err != nil {
			t.Fatal(err)
		}
		left := filepath.Join(out, "config.yaml")
		if got := loaded(t, "--config", left).text("policy"); got != string(c.want) {
			t.Errorf("%v: the configuration left says policy %s, want %s", c.args, got, c.want)
		}
		if err := os.Remove(left); err != nil {
			t.Fatal(err)
		}
	}
}

// TestKafkaSettings holds that what a cluster is told comes from its settings,
// and the password from the environment or a file.
func TestKafkaSettings(t *testing.T) {
	authority := kafkalogtest.NewAuthority(t).File(t)
	login := []string{"--set", "kafka.tls=true", "--set", "kafka.ca=" + authority, "--set", "kafka.sasl=scram-sha-512", "--set", "kafka.user=$ConnectionString"}
	check := func(t *testing.T, password string, more ...string) {
		t.Helper()
		c, err := loaded(t, append(login, append(more, "--bootstrap", "a:1,b:2", "--set", "kafka.compression=lz4", "--set", "kafka.retention=48h")...)...).kafka()
		if err != nil || c.Mechanism != "SCRAM-SHA-512" || c.User != "$ConnectionString" || c.Password != password || c.TLS == nil || c.TLS.RootCAs == nil ||
			c.Compression != "lz4" || c.Retention != 48*time.Hour || !slices.Equal(c.Bootstrap, []string{"a:1", "b:2"}) {
			t.Errorf("%+v, %v", c, err)
		}
	}
	t.Run("password from a file", func(t *testing.T) {
		check(t, "Endpoint=sb://x/;Key=a+b/c==", "--set", "kafka.password_file="+file(t, "password", "Endpoint=sb://x/;Key=a+b/c==\n"))
	})
	t.Run("file named by the environment", func(t *testing.T) {
		t.Setenv("ARCHBENCH_KAFKA_PASSWORD_FILE", file(t, "password", "hush"))
		check(t, "hush")
	})
	t.Setenv(passwordVariable, " spaces stay ")
	t.Run("password from the environment", func(t *testing.T) { check(t, " spaces stay ") })
	says := "both " + passwordVariable + " and kafka.password_file are set"
	if _, err := loaded(t, append(login, "--set", "kafka.password_file="+file(t, "password", "x"))...).kafka(); err == nil || !strings.Contains(err.Error(), says) {
		t.Errorf("%v, want %q", err, says)
	}
}

func TestProcessesGetTheRunsSettings(t *testing.T) {
	t.Setenv(passwordVariable, "hush")
	o := loaded(t, "--set", "kafka.compression=zstd", "--set", "memory=12345678", "--set", "commit_interval=70ms", "--set", "kafka.user=me", "--set", "kafka.sasl=PLAIN", "--trigger", "9s", "--listen", "0.0.0.0:1")
	path := filepath.Join(t.TempDir(), "config.yaml")
	params := view.DefaultParams()
	params.HopSize, params.TopK = 3*time.Hour+7*time.Minute, 5
	err := o.writeConfig(path, scenario.ProcessConfig{Bootstrap: []string{"a:1", "b:2"}, Topics: "p", DataDir: "d", Params: params, Policy: architecture.Exact,
		Guarantee: architecture.EffectivelyOnce, Lateness: 7 * time.Minute, Rules: view.MerchandiseOnly, Trigger: 300 * time.Millisecond, BatchInterval: 3 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(content), "hush") {
		t.Error("a secret stands in a file")
	}
	got := loaded(t, "--config", path)
	c, err := serveConfig(got, pipelines()["kappa"], slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if c.MemoryBytes != 12345678 || c.CommitInterval != 70*time.Millisecond || c.Trigger != 300*time.Millisecond || c.BatchInterval != 3*time.Second ||
		c.Policy != architecture.Exact || c.Lateness != 7*time.Minute || c.Params != params || c.Rules != view.MerchandiseOnly || c.Topics.Orders != "p.orders" || c.Dir != "d" {
		t.Errorf("%+v", c)
	}
	if got.text("listen") != "127.0.0.1:0" {
		t.Errorf("a measured process listens at %s", got.text("listen"))
	}
	k, err := got.kafka()
	if err != nil || k.Compression != "zstd" || k.User != "me" || k.Password != "hush" || !slices.Equal(k.Bootstrap, []string{"a:1", "b:2"}) {
		t.Errorf("%+v, %v", k, err)
	}
}

func TestExitCodes(t *testing.T) {
	right := func() results.Measurement {
		return results.Measurement{Valid: true, Policy: "exact", Guarantee: "effectively-once", Divergence: &results.Divergence{Reads: 3, Final: &results.FinalRows{RowsChecked: 9}}}
	}
	invalid, wrong, wrongAtEnd, bounded, outOfPolicy := right(), right(), right(), right(), right()
	invalid.Valid = false
	wrong.Divergence.RowsExtra = 1
	wrongAtEnd.Divergence.Final.RowsMissing = 1
	bounded.Policy, bounded.Divergence.RowsWrong = "bounded", 1
	outOfPolicy.Policy, outOfPolicy.PolicyDivergence = "bounded", &results.Divergence{RowsWrong: 1}
	missing, extra, lost := right(), right(), right()
	missing.Alerts, extra.Alerts, lost.Alerts = &results.Alerts{Expected: 1, Missing: 1}, &results.Alerts{Extra: 1}, &results.Alerts{Expected: 1, Missing: 1}
	extra.Policy, lost.Policy, lost.Guarantee = "bounded", "bounded", "at-most-once"
	failed := errors.New("a process ended")
	for _, c := range []struct {
		name   string
		m      []results.Measurement
		failed error
		strict bool
		want   int
	}{
		{"right", []results.Measurement{right(), right()}, nil, true, exitDone},
		{"invalid", []results.Measurement{right(), invalid}, nil, false, exitDone},
		{"invalid, strict", []results.Measurement{right(), invalid}, nil, true, exitGate},
		{"wrong", []results.Measurement{right(), wrong}, nil, false, exitDivergence},
		{"wrong at the end", []results.Measurement{wrongAtEnd}, nil, false, exitDivergence},
		{"wrong before invalid", []results.Measurement{wrong, invalid}, nil, true, exitDivergence},
		{"failed", []results.Measurement{invalid}, failed, true, exitRuntime},
		{"wrong before failed", []results.Measurement{wrong}, failed, false, exitDivergence},
		{"an alert is missing", []results.Measurement{missing}, nil, false, exitDivergence},
		{"an alert too many", []results.Measurement{extra}, nil, false, exitDivergence},
		{"a lesser guarantee may lose one", []results.Measurement{lost}, nil, true, exitDone},
		{"bounded may diverge", []results.Measurement{bounded}, nil, true, exitDone},
		{"not from its own policy", []results.Measurement{outOfPolicy}, nil, false, exitDivergence},
	} {
		if got := exitCode(judgement(&results.Result{Measurements: c.m}, c.failed, c.strict)); got != c.want {
			t.Errorf("%s: exit %d, want %d", c.name, got, c.want)
		}
	}
}

func TestNearest(t *testing.T) {
	for name, want := range map[string]string{"alpha": "alpha", "alhpa": "alpha", "bta": "beta", "": "beta", "gam": "gamma"} {
		if got := nearest(name, []string{"alpha", "beta", "gamma"}); got != want {
			t.Errorf("nearest to %q is %q, want %q", name, got, want)
		}
	}
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"", "abc", 3}, {"kitten", "sitting", 3}, {"flaw", "lawn", 2}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("from %q to %q it is %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
