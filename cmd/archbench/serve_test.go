package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"archbench/common/architecture"
	"archbench/common/coverage"
	"archbench/common/event"
	"archbench/common/eventlog"
	"archbench/common/eventlog/kafkalog"
	"archbench/common/serving"
	"archbench/common/view"
)

const partitions = 2

// embeddedBroker starts the broker command and returns the address it prints.
func embeddedBroker(t *testing.T) string {
	t.Helper()
	c := program(t, nil, "broker", "--broker", "embedded")
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := c.Wait(); err != nil {
			t.Errorf("the broker did not end cleanly: %v: %s", err, &stderr)
		}
		if !strings.Contains(stderr.String(), "not Apache Kafka") {
			t.Errorf("the stand-in is not marked: %s", &stderr)
		}
	})
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatalf("the broker printed no address: %s", &stderr)
	}
	return lines.Text()
}

// fill makes a topic set and appends n order lines and a profile.
func fill(t *testing.T, bootstrap, prefix string, n int) coverage.Coverage {
	t.Helper()
	log, err := kafkalog.Open(t.Context(), kafkalog.Config{Bootstrap: []string{bootstrap}})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	topics := eventlog.TopicsOf(prefix)
	if err := log.Create(t.Context(), partitions, topics.All()...); err != nil {
		t.Fatal(err)
	}
	at := coverage.Zero(partitions)
	profile := event.ProfileChange{Version: 1, CustomerID: 1, Segment: "vip", ValidFromMS: 1_700_000_000_000}
	at.Customers[eventlog.Partition([]byte("1"), partitions)]++
	records := map[string][]eventlog.Record{topics.Customers: {{Key: []byte("1"), Value: event.AppendProfile(nil, &profile)}}}
	for i := range n {
		key := []byte(fmt.Sprint(1 + i%10))
		at.Orders[eventlog.Partition(key, partitions)]++
		line := event.OrderLine{Version: 1, EventID: fmt.Sprintf("%d-1", i), OrderID: fmt.Sprint(i), Line: 1, Kind: event.Sale, CustomerID: int64(1 + i%10), Country: "France",
			StockCode: "A", Quantity: 1, UnitPriceMilli: 1_000, EventTimeMS: 1_700_000_000_000 + int64(i)}
		records[topics.Orders] = append(records[topics.Orders], eventlog.Record{Key: key, Value: event.AppendOrder(nil, &line)})
	}
	for topic, rs := range records {
		if err := log.Append(t.Context(), topic, rs...); err != nil {
			t.Fatal(err)
		}
	}
	return at
}

// reach waits until the process covers everything and is ready, and returns how many lines it shows.
func reach(t *testing.T, address string, at coverage.Coverage) int64 {
	t.Helper()
	c := serving.NewClient(address, "")
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	err := c.Listen(ctx, func(a serving.Announced) {
		if a.Coverage.AtLeast(at) {
			cancel()
		}
	})
	if ctx.Err() != context.Canceled {
		t.Fatalf("%s was never covered: %v", at, err)
	}
	for ready := false; !ready; { // what was committed is covered before anything runs
		if ready, err = c.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	body, err := c.AnswerBody(t.Context(), view.Query{View: view.RevenueByCountry})
	if err != nil {
		t.Fatal(err)
	}
	a, err := serving.ParseAnswer(body)
	if err != nil {
		t.Fatal(err)
	}
	if !a.Coverage.Equal(at) {
		t.Errorf("the answer covers %s, want %s", a.Coverage, at)
	}
	var lines int64
	for _, r := range a.Rows {
		lines += r.Num[1]
	}
	return lines
}

func TestServe(t *testing.T) {
	bootstrap := embeddedBroker(t)
	for name, p := range pipelines() {
		t.Run(name, func(t *testing.T) {
			const lines = 500
			at := fill(t, bootstrap, name, lines)
			dir := filepath.Join(t.TempDir(), "data")
			args := []string{"serve", name, "--bootstrap", bootstrap, "--topics", name, "--data-dir", dir, "--trigger", "100ms", "--batch-interval", "300ms"}

			// A crash point ends the process as kill -9 does.
			points := p.crashPoints(architecture.EffectivelyOnce)
			point := points[slices.IndexFunc(points, func(s string) bool {
				return strings.HasSuffix(s, "commit") || strings.HasSuffix(s, "manifest") || strings.HasSuffix(s, "silver")
			})]
			c := program(t, nil, append(args, "--faults", point)...)
			c.Stderr = &bytes.Buffer{}
			err := c.Run()
			if status, ok := c.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL {
				t.Fatalf("at %s the process ended by %v (%v): %s", point, c.ProcessState, err, c.Stderr)
			}

			// The next one goes on from what is committed, and ends cleanly.
			s := start(t, program(t, nil, args...))
			if got := reach(t, s.address, at); got != lines {
				t.Errorf("%d lines after a crash, want %d", got, lines)
			}
			if code := s.stop(t); code != exitDone {
				t.Errorf("after SIGTERM: exit %d: %s", code, s.stderr)
			}

			// State written in another format version is refused, by name.
			meta := filepath.Join(dir, "archbench.meta")
			content, err := os.ReadFile(meta)
			if err != nil {
				t.Fatal(err)
			}
			fields := bytes.SplitN(content, []byte(" "), 4) // archbench meta VERSION …
			fields[2] = []byte("99")
			if err := os.WriteFile(meta, bytes.Join(fields, []byte(" ")), 0o644); err != nil {
				t.Fatal(err)
			}
			code, _, stderr := outcome(t, program(t, nil, args...))
			if code != exitUsage {
				t.Errorf("another version's directory: exit %d, want %d", code, exitUsage)
			}
			sentence(t, args, stderr, meta, "version")
		})
	}
}

func TestControlAndToken(t *testing.T) {
	bootstrap := embeddedBroker(t)
	fill(t, bootstrap, "control", 10)
	bug := pipelines()["kappa"].bugs[0]
	s := start(t, program(t, []string{"ARCHBENCH_TOKEN=sesame"}, "serve", "kappa", "--bootstrap", bootstrap, "--topics", "control", "--data-dir", filepath.Join(t.TempDir(), "d"), "--allow-control"))
	for _, c := range []struct{ path, token, want string }{
		{"bug?name=" + bug, "", "401"},
		{"bug?name=" + bug, "sesame", "200"},
		{"bug?name=nothing", "sesame", "400"},
		{"dance", "sesame", "404"},
	} {
		if got := post(t, s.address+"/v1/control/"+c.path, c.token); got != c.want {
			t.Errorf("POST %s with token %q: %s, want %s", c.path, c.token, got, c.want)
		}
	}
	if code := s.stop(t); code != exitDone {
		t.Errorf("exit %d: %s", code, s.stderr)
	}
}

func TestBesideABroker(t *testing.T) {
	args := []string{"broker", "--broker", "embedded", "--", "sh", "-c", "echo address:$ARCHBENCH_TEST_BOOTSTRAP; exit 7"}
	code, stdout, stderr := outcome(t, program(t, []string{"ARCHBENCH_TEST_BOOTSTRAP="}, args...))
	if code != 7 || strings.TrimSpace(stdout) != "address:" { // a stand-in is not handed on as Kafka
		t.Errorf("exit %d, %q: %s", code, stdout, stderr)
	}
	code, _, stderr = outcome(t, program(t, nil, "broker", "--broker", "embedded", "--", "no-such-command"))
	if code != exitUsage {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

// TestRun runs a whole small run, and again from what it left.
func TestRun(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	args := []string{"run", "--scenario", "backfill", "--arch", "kappa", "--broker", "embedded", "--events", "3000", "--out", out}
	c := program(t, []string{"ARCHBENCH_TOKEN=sesame", "ARCHBENCH_TOP_K=3"}, args...)
	code, stdout, stderr := outcome(t, c)
	if code != exitDone {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	for _, part := range []string{"backfill", "kappa", "not Apache Kafka", out} {
		if !strings.Contains(stdout, part) {
			t.Errorf("the table lacks %q: %s", part, stdout)
		}
	}
	report, err := os.ReadFile(filepath.Join(out, "report.md"))
	if err != nil || !bytes.Contains(report, []byte("No answer was wrong")) {
		t.Errorf("report: %v\n%s", err, report)
	}
	config, err := os.ReadFile(filepath.Join(out, "config.yaml"))
	if err != nil || !bytes.Contains(config, []byte("\ntop_k: 3\n")) || bytes.Contains(config, []byte("sesame")) {
		t.Errorf("config: %v\n%s", err, config)
	}
	log, err := os.ReadFile(filepath.Join(out, "backfill", "kappa", "trial-1", "process.log"))
	if err != nil || !bytes.Contains(log, []byte(" run=out architecture=kappa topics=out.")) { // the run's id is its directory's name
		t.Errorf("the process's log does not say which run it belongs to: %v\n%s", err, log)
	}
	if err := os.Remove(filepath.Join(out, "report.md")); err != nil {
		t.Fatal(err)
	}
	if code, table, stderr := inProcess(t, "report", out); code != exitDone || !strings.Contains(stdout, table) {
		t.Errorf("report: exit %d: %s %s", code, table, stderr)
	}
	if again, err := os.ReadFile(filepath.Join(out, "report.md")); err != nil || !bytes.Equal(again, report) {
		t.Errorf("the report written again differs: %v", err)
	}
	code, _, stderr = inProcess(t, args...)
	if code != exitUsage {
		t.Errorf("a second run into %s: exit %d", out, code)
	}
	sentence(t, args, stderr, "not empty")
}

// TestInterruptedRun holds that Ctrl-C ends everything a run has started.
func TestInterruptedRun(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	c := program(t, nil, "run", "--scenario", "steady", "--arch", "kappa", "--broker", "embedded", "--out", out)
	errs, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	for lines := bufio.NewScanner(errs); lines.Scan(); {
		said.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), "[1/1]") {
			if err := c.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
		}
	}
	c.Wait() // its error is the exit code
	if code := c.ProcessState.ExitCode(); code != exitRuntime || !strings.Contains(said.String(), "interrupted") {
		t.Errorf("exit %d: %s", code, &said)
	}
	left, err := processesNaming(out)
	if err != nil || len(left) > 0 {
		t.Errorf("left running: %q, %v", left, err)
	}
}
