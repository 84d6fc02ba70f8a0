package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"archbench/bench/clock"
	"archbench/bench/judge"
	"archbench/bench/ledger"
	"archbench/bench/load"
	"archbench/common/alerts"
	"archbench/common/architecture"
	"archbench/common/eventlog"
	"archbench/common/eventlog/kafkalog"
	"archbench/common/oracle"
	"archbench/common/serving"
	"archbench/common/view"
	"archbench/testcontainers/brokertest"
	"archbench/workloads/catalog"
	"archbench/workloads/disturb"
)

// lateness is what is allowed under policy bounded here.
const lateness = 5 * time.Minute

// TestKilledDuringIngestOnKafka kills each architecture's process at random
// moments while events arrive on real Kafka, and holds what the last one shows
// against the truth: the views, and the alerts of all of them together. Under policy
// bounded some lines are late and some are repeated.
func TestKilledDuringIngestOnKafka(t *testing.T) {
	const rate, kills = 8_000, 4
	bootstrap := brokertest.Bootstrap(t)
	params := view.DefaultParams()
	params.AlertThresholdMilli = 100_000 // so that alerts are raised at most moments
	for _, c := range []struct {
		name   string
		policy architecture.Policy
	}{{"lambda", architecture.Exact}, {"kappa", architecture.Exact}, {"unified", architecture.Exact}, {"lambda", architecture.Bounded}, {"kappa", architecture.Bounded}} {
		name, bounded := c.name, c.policy == architecture.Bounded
		t.Run(name+" "+string(c.policy), func(t *testing.T) {
			seed := uint64(time.Now().UnixNano())
			rng := rand.New(rand.NewPCG(seed, 0))
			log, err := kafkalog.Open(t.Context(), kafkalog.Config{Bootstrap: bootstrap})
			if err != nil {
				t.Fatal(err)
			}
			defer log.Close()
			prefix := fmt.Sprintf("killed-%s-%d", name, seed)
			topics := eventlog.TopicsOf(prefix)
			if err := log.Create(t.Context(), partitions, topics.All()...); err != nil {
				t.Fatal(err)
			}
			choice := catalog.Choice{Name: "synthetic", Seed: seed, Events: 40_000}
			if bounded {
				choice.Disturb = disturb.Params{Late: 0.05, Lateness: 10 * time.Minute, Duplicates: 0.05}
			}
			source, err := catalog.Open(choice)
			if err != nil {
				t.Fatal(err)
			}
			defer source.Close()
			events := source.Events()
			loader := load.New(log, topics, partitions, source, clock.From(time.Now()))
			before := events * 8 / 10 // the rest comes after the kills, however slow the machine is
			killed, sent := make(chan struct{}), make(chan error, 1)
			go func() {
				_, err := loader.Live(t.Context(), time.Now(), rate, before)
				select {
				case <-killed:
				case <-t.Context().Done():
				}
				if err == nil {
					_, err = loader.Live(t.Context(), time.Now(), rate, events-before)
				}
				sent <- err
			}()

			args := []string{"serve", name, "--bootstrap", strings.Join(bootstrap, ","), "--topics", prefix, "--data-dir", filepath.Join(t.TempDir(), "data"),
				"--trigger", "200ms", "--batch-interval", "500ms", "--policy", string(c.policy), "--allowed-lateness", lateness.String(),
				"--set", fmt.Sprint("alert_threshold_milli=", params.AlertThresholdMilli)}
			moments := make([]int64, kills)
			for i := range moments {
				moments[i] = rng.Int64N(before)
			}
			slices.Sort(moments)
			for i, moment := range moments {
				s := start(t, program(t, nil, args...))
				at := coveredAtLeast(t, s.address, moment)
				if err := s.Process.Signal(syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
				s.Wait() // its error is the signal
				if at >= events {
					t.Fatalf("seed %d: kill %d came after the work was done", seed, i+1)
				}
				t.Logf("seed %d: kill %d with %d of %d events covered, %d sent", seed, i+1, at, events, loader.Count())
			}
			close(killed)
			s := start(t, program(t, nil, args...))
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
			history := oracle.NewBoundedHistory(partitions, lateness)
			book, err := ledger.Read(t.Context(), log, topics, loader.Sent(), history)
			if err != nil {
				t.Fatal(err)
			}
			coveredAtLeast(t, s.address, book.End().Sum())
			j := judge.Judge{History: history, Params: params, Bounded: bounded}
			holdAgainst(t, s.address, j)
			holdAlerts(t, s.address, log, topics.Alerts, j)
			if counts, err := history.BoundedCounts(history.End()); bounded && (err != nil || counts.Late == 0 || counts.Duplicate == 0) {
				t.Errorf("nothing was late or repeated: %+v %v", counts, err)
			}
			if code := s.stop(t); code != exitDone {
				t.Errorf("exit %d: %s", code, s.stderr)
			}
		})
	}
}

// coveredAtLeast waits until answers include so many records, and returns how many.
func coveredAtLeast(t *testing.T, address string, n int64) (at int64) {
	t.Helper()
	c := serving.NewClient(address, "")
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	err := c.Listen(ctx, func(a serving.Announced) {
		if at = a.Coverage.Sum(); at >= n {
			cancel()
		}
	})
	if at < n {
		t.Fatalf("%d records were never covered, only %d: %v", n, at, err)
	}
	return at
}

// holdAgainst asks for every view whole and judges the answers.
func holdAgainst(t *testing.T, address string, j judge.Judge) {
	t.Helper()
	c := serving.NewClient(address, "")
	defer c.Close()
	verdict := j.NewVerdict()
	for _, v := range view.Names() {
		body, err := c.AnswerBody(t.Context(), view.Query{View: v})
		if err != nil {
			t.Fatal(err)
		}
		a, err := serving.ParseAnswer(body)
		if err != nil {
			t.Fatal(err)
		}
		j.Finals(verdict, a)
	}
	d := verdict.Divergence
	if j.Bounded {
		d = verdict.PolicyDivergence
	}
	if d.Any() || d.Final == nil || d.Final.RowsChecked == 0 {
		t.Errorf("%+v: %q", d.Final, d.Examples)
	}
}

// holdAlerts waits until the process has written what waits, and judges all that
// stands in the topic.
func holdAlerts(t *testing.T, address string, log eventlog.Log, topic string, j judge.Judge) {
	t.Helper()
	c := serving.NewClient(address, "")
	defer c.Close()
	status, err := c.Status(t.Context())
	for end := time.Now().Add(time.Minute); err == nil && status.Alerts.Waiting > 0 && time.Now().Before(end); status, err = c.Status(t.Context()) {
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		t.Fatal(err)
	}
	var raised []judge.Raised
	for p := range partitions {
		raised = append(raised, alertsOf(t, log, topic, p)...)
	}
	found, _, err := j.Alerts(status.Reigns, raised)
	if err != nil {
		t.Fatal(err)
	}
	if found.Any() || found.Expected < 100 {
		t.Errorf("alerts %+v", found)
	}
	t.Logf("alerts: %d owed and there, %d repeated by the kills", found.Expected, found.Repeated)
}

// alertsOf reads one partition of topic alerts.
func alertsOf(t *testing.T, log eventlog.Log, topic string, p int) (all []judge.Raised) {
	t.Helper()
	written, _, err := alerts.Read(t.Context(), log, topic, p, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range written {
		if w.Unreadable != nil {
			t.Fatalf("record %d/%d of topic alerts: %v", p, w.Offset, w.Unreadable)
		}
		all = append(all, judge.Raised{Alert: w.Alert})
	}
	return all
}
