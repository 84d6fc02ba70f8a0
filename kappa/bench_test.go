package kappa_test

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"testing"
	"time"

	"archbench/bench/conformance"
	"archbench/common/architecture"
	"archbench/common/eventlog"
	"archbench/common/intake"
	"archbench/common/view"
	"archbench/kappa"
	"archbench/workloads/workloadtest"
)

// linesVariable makes BenchmarkKappa take another number of lines.
const linesVariable = "ARCHBENCH_BENCH_LINES"

const (
	benchLines      = 1_000_000
	benchPartitions = 4
)

// What Kappa may cost, and take: DESIGN's figures.
var ownMicroseconds = map[architecture.Policy]float64{architecture.Bounded: 1.5, architecture.Exact: 3}

const memoryMiB = 4096

// BenchmarkKappa takes synthetic lines from a recorded log through Kappa, all seven
// views, effectively-once: a backfill from an empty store, a restart on the store
// that it leaves, and a reprocess on that. A line's cost is the processor time of
// the whole process, collections and commits included, less what reading and
// decoding the same log alone take.
func BenchmarkKappa(b *testing.B) {
	architecture.BoundHeap() // as a process of its own does
	t := &trial{topics: eventlog.TopicsOf("bench"), lines: benchLines, root: b.TempDir()}
	if n, err := strconv.ParseInt(os.Getenv(linesVariable), 10, 64); err == nil {
		t.lines = n
	}
	t.log = workloadtest.Recording(b, t.root, t.topics, benchPartitions, t.lines)
	for _, policy := range []architecture.Policy{architecture.Bounded, architecture.Exact} {
		of := *t
		of.policy = policy
		b.Run(string(policy)+"/backfill", of.backfill)
		b.Run(string(policy)+"/restart", of.restart)
		b.Run(string(policy)+"/reprocess", of.reprocess)
	}
}

// trial is one policy on a log.
type trial struct {
	topics eventlog.Topics
	log    *workloadtest.Recorded
	lines  int64
	policy architecture.Policy
	root   string // for all that is written
	filled string // a data directory that holds all of the log; empty: none yet
}

func (t *trial) config(dir string) architecture.Config {
	return architecture.Config{Log: t.log, Topics: t.topics, Dir: dir, Params: view.DefaultParams(), Rules: view.EveryLine,
		Policy: t.policy, Lateness: architecture.DefaultLateness, Guarantee: architecture.EffectivelyOnce, PartitionCheck: time.Hour}
}

func (t *trial) backfill(b *testing.B) {
	var floor time.Duration
	rounds, all := repeat(b, func() used {
		floor += t.readAndDecode(b)
		return measure(b, func() { t.fill(b) })
	})
	n := float64(t.lines) * rounds
	b.ReportMetric((all.processor-floor).Seconds()*1e6/n, "µs/line")
	b.ReportMetric(ownMicroseconds[t.policy], "µs/line-floor")
	b.ReportMetric(n/all.wall.Seconds(), "lines/s")
	b.ReportMetric(n/all.processor.Seconds(), "lines/cpu-s")
	b.ReportMetric(float64(all.allocations)/n, "allocs/line")
	reportMemory(b, all.peak)
}

// restart is the time until committed state can be asked.
func (t *trial) restart(b *testing.B) {
	dir := t.directory(b)
	var took time.Duration
	rounds, all := repeat(b, func() used {
		return measure(b, func() {
			began := time.Now()
			k, err := kappa.Open(b.Context(), t.config(dir))
			if err != nil {
				b.Fatal(err)
			}
			took += time.Since(began)
			ended, stop := context.WithCancel(b.Context())
			stop()
			if err := k.Run(ended); err != nil {
				b.Fatal(err)
			}
		})
	})
	b.ReportMetric(took.Seconds()/rounds, "s/restart")
	b.ReportMetric(all.processor.Seconds()/rounds, "cpu-s/restart")
	reportMemory(b, all.peak)
}

// reprocess is from the request to the switch, beside a served instance that has
// nothing to do. It turns to and fro between the rules.
func (t *trial) reprocess(b *testing.B) {
	dir := t.directory(b)
	var took time.Duration
	rounds, all := repeat(b, func() used {
		return measure(b, func() {
			rules := view.Rules(0)
			t.run(b, dir, func(k *kappa.Kappa) bool {
				s := k.Status()
				if rules == 0 {
					rules = 3 - s.Rules
					if outcome, err := k.Reprocess(b.Context(), rules); err != nil || outcome != architecture.Started {
						b.Fatalf("reprocess: %v, %v", outcome, err)
					}
					return false
				}
				if s.Rules == rules {
					took += time.Duration(s.Reprocess.Seconds * float64(time.Second))
				}
				return s.Rules == rules
			})
		})
	})
	n := float64(t.lines) * rounds
	b.ReportMetric(took.Seconds()/rounds, "s/reprocess")
	b.ReportMetric(n/all.processor.Seconds(), "lines/cpu-s")
	reportMemory(b, all.peak)
}

func reportMemory(b *testing.B, peak int64) {
	b.ReportMetric(float64(peak>>20), "MiB-peak")
	b.ReportMetric(memoryMiB, "MiB-peak-ceiling")
}

// directory is one that a backfill has filled.
func (t *trial) directory(b *testing.B) string {
	if t.filled == "" {
		t.fill(b)
	}
	return t.filled
}

// fill takes the whole log through Kappa, from an empty store.
func (t *trial) fill(b *testing.B) {
	if err := os.RemoveAll(t.filled); err != nil {
		b.Fatal(err)
	}
	dir, err := os.MkdirTemp(t.root, string(t.policy))
	if err != nil {
		b.Fatal(err)
	}
	t.run(b, dir, func(k *kappa.Kappa) bool { return k.Status().Committed.AtLeast(t.log.End()) })
	t.filled = dir
}

// run runs Kappa until done says so, and ends it cleanly.
func (t *trial) run(b *testing.B, dir string, done func(*kappa.Kappa) bool) {
	b.Helper()
	k, err := kappa.Open(b.Context(), t.config(dir))
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- k.Run(ctx) }()
	for !done(k) {
		select {
		case err := <-ended:
			b.Fatalf("it ended too early: %v", err)
		case <-time.After(5 * time.Millisecond):
		}
	}
	stop()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
}

// readAndDecode is the processor time of the intake alone, as Kappa has it.
func (t *trial) readAndDecode(b *testing.B) time.Duration {
	end := t.log.End()
	return measure(b, func() {
		ctx, stop := context.WithCancel(b.Context())
		defer stop()
		ended := make(chan struct{}, 2*benchPartitions)
		until := func(at *int64, end int64) {
			if *at == end {
				ended <- struct{}{}
			}
		}
		for n := range benchPartitions {
			s := intake.Source{Log: t.log, Topics: t.topics, Partition: n, Chunk: 256}
			go s.FollowOrders(ctx, 0, func(o intake.Orders) error { until(&o.Next, end.Orders[n]); return nil })
			go s.FollowCustomers(ctx, 0, func(c intake.Customers) error { until(&c.Next, end.Customers[n]); return nil })
		}
		for range 2 * benchPartitions {
			<-ended
		}
	}).processor
}

// used is what something took.
type used struct {
	processor, wall time.Duration
	allocations     uint64
	peak            int64 // bytes of the process that were resident at most
}

// repeat runs the rounds of a benchmark. It returns how many there were, what all of
// them took, and the highest peak.
func repeat(b *testing.B, round func() used) (rounds float64, all used) {
	for b.Loop() {
		u := round()
		rounds++
		all.processor, all.wall = all.processor+u.processor, all.wall+u.wall
		all.allocations, all.peak = all.allocations+u.allocations, max(all.peak, u.peak)
	}
	return rounds, all
}

// measure begins with a collected heap.
func measure(b *testing.B, f func()) used {
	b.Helper()
	debug.FreeOSMemory()
	resetPeak(b)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began, processor := time.Now(), conformance.ProcessorTime(b)
	f()
	u := used{processor: conformance.ProcessorTime(b) - processor, wall: time.Since(began)}
	runtime.ReadMemStats(&after)
	u.allocations, u.peak = after.Mallocs-before.Mallocs, conformance.ResidentPeak(b)
	return u
}

// resetPeak makes the kernel forget the peak that there was.
func resetPeak(b *testing.B) {
	b.Helper()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		b.Logf("the peak of memory is that of the whole process: %v", err)
	}
}
