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
	"archbench/common/eventlog"
	"archbench/common/eventlog/kafkalog"
	"archbench/common/oracle"
	"archbench/common/serving"
	"archbench/common/view"
	"archbench/results"
	"archbench/testcontainers/brokertest"
	"archbench/workloads/synthetic"
)

// TestKilledDuringIngestOnKafka kills each architecture's process at random
// moments while events arrive on real Kafka, and holds what the last one shows
// against the truth.
func TestKilledDuringIngestOnKafka(t *testing.T) {
	const events, rate, kills = 40_000, 8_000, 4
	bootstrap := brokertest.Bootstrap(t)
	for name := range pipelines() {
		t.Run(name, func(t *testing.T) {
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
			params := synthetic.DefaultParams()
			params.Seed, params.Events = seed, events
			source, err := synthetic.New(params)
			if err != nil {
				t.Fatal(err)
			}
			loader := load.New(log, topics, partitions, source, clock.From(time.Now()))
			sent := make(chan error, 1)
			go func() {
				_, err := loader.Live(t.Context(), time.Now(), rate, events)
				sent <- err
			}()

			args := []string{"serve", name, "--bootstrap", strings.Join(bootstrap, ","), "--topics", prefix, "--data-dir", filepath.Join(t.TempDir(), "data"),
				"--trigger", "200ms", "--batch-interval", "500ms"}
			moments := make([]int64, kills)
			for i := range moments {
				moments[i] = rng.Int64N(events * 8 / 10)
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
			s := start(t, program(t, nil, args...))
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
			history := oracle.NewHistory(partitions)
			book, err := ledger.Read(t.Context(), log, topics, loader.Sent(), history)
			if err != nil {
				t.Fatal(err)
			}
			coveredAtLeast(t, s.address, book.End().Sum())
			holdAgainst(t, s.address, judge.Judge{History: history, Params: view.DefaultParams()})
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
	d := &results.Divergence{}
	for _, v := range view.Names() {
		body, err := c.AnswerBody(t.Context(), view.Query{View: v})
		if err != nil {
			t.Fatal(err)
		}
		a, err := serving.ParseAnswer(body)
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Final(a, d); err != nil {
			t.Fatal(err)
		}
	}
	if d.Any() || d.Final == nil || d.Final.RowsChecked == 0 {
		t.Errorf("%+v: %q", d.Final, d.Examples)
	}
}
