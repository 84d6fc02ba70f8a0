package lambda

import (
	"context"
	"os"
	"strconv"
	"testing"
	"time"

	"archbench/bench/conformance"
	"archbench/common/architecture"
	"archbench/common/coverage"
	"archbench/common/eventlog"
	"archbench/common/eventlog/memlog"
	"archbench/common/view"
	"archbench/lambda/master"
	"archbench/workloads"
	"archbench/workloads/synthetic"
	"archbench/workloads/workloadtest"
)

const (
	// benchLines is how long a history is without ARCHBENCH_BENCH_LINES.
	benchLines      = 500_000
	benchPartitions = 4
	// repeatEvery: every so manieth line is followed by a second copy of it.
	repeatEvery = 100

	leastRebuilt = 500_000  // lines per processor second, of DESIGN's figures
	mostResident = 4 * 1024 // MiB of one process
)

// BenchmarkBackfill reads a whole log, from an empty data directory until answers
// include all of it. The segment that a stop
// writes counts too.
func BenchmarkBackfill(b *testing.B) {
	architecture.BoundHeap() // as a process of its own does
	c := architecture.Config{Topics: eventlog.TopicsOf("backfill"), BatchInterval: time.Hour, PartitionCheck: time.Hour, Lateness: architecture.DefaultLateness}
	lines, root := historyLength(b), b.TempDir()
	log := workloadtest.Recording(b, root, c.Topics, benchPartitions, int64(lines))
	c.Log = log
	for _, c.Policy = range []architecture.Policy{architecture.Bounded, architecture.Exact} {
		b.Run(string(c.Policy), func(b *testing.B) {
			var took time.Duration
			perSecond(b, lines, func() {
				began := time.Now()
				c.Dir = b.TempDir()
				readAll(b, open(b, c), log.End())
				took += time.Since(began)
			})
			b.ReportMetric(float64(b.N)*float64(lines)/took.Seconds(), "lines/s")
		})
	}
}

// readAll runs until answers include a vector.
func readAll(b *testing.B, l *Lambda, end coverage.Coverage) {
	b.Helper()
	ctx, stop := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	for at := l.Coverage().Latest(); at.Version == 0 || !at.Coverage.AtLeast(end); {
		next, err := l.Coverage().Next(ctx, at.Version)
		if err != nil {
			b.Fatal(err)
		}
		at = next
	}
	stop()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}

// BenchmarkRebuild computes a batch view from the segments of a long history, from
// scratch, duplicates recognised: under rules 1, and under rules 2 as a reprocess does.
// Then it opens the same data directory, as a restart does under either policy.
func BenchmarkRebuild(b *testing.B) {
	dir, lines := b.TempDir(), historyLength(b)
	log := memlog.New()
	b.Cleanup(func() { log.Close() })
	c := architecture.Config{Log: log, Topics: eventlog.TopicsOf("rebuild"), Dir: dir, BatchInterval: time.Hour, Lateness: architecture.DefaultLateness}
	if err := log.Create(b.Context(), benchPartitions, c.Topics.All()...); err != nil {
		b.Fatal(err)
	}
	c.Policy = architecture.Exact
	l := open(b, c)
	writeHistory(b, l.master, lines)
	for _, rules := range view.AllRules() {
		b.Run("rules="+strconv.Itoa(int(rules)), func(b *testing.B) {
			in := l.wholeInput()
			perSecond(b, lines, func() {
				v, err := l.derive(b.Context(), rules, in, 1)
				if err != nil {
					b.Fatal(err)
				}
				if err := l.removeView(v); err != nil {
					b.Fatal(err)
				}
			})
			b.ReportMetric(leastRebuilt, "lines/cpu-s-floor")
		})
	}
	serve(b, l)
	if err := l.close(); err != nil {
		b.Fatal(err)
	}
	for _, c.Policy = range []architecture.Policy{architecture.Bounded, architecture.Exact} {
		b.Run("restart="+string(c.Policy), func(b *testing.B) {
			perSecond(b, lines, func() {
				if err := open(b, c).close(); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}

// serve serves a batch view of the whole history, as one who starts again finds it.
func serve(b *testing.B, l *Lambda) {
	b.Helper()
	v, err := l.derive(b.Context(), view.EveryLine, l.wholeInput(), 1)
	if err == nil {
		_, err = l.swapIn(v)
	}
	if err != nil {
		b.Fatal(err)
	}
}

func historyLength(b *testing.B) int {
	b.Helper()
	s := os.Getenv("ARCHBENCH_BENCH_LINES")
	if s == "" {
		return benchLines
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		b.Fatalf("ARCHBENCH_BENCH_LINES is %q: it must be a number of lines", s)
	}
	return n
}

func open(b *testing.B, c architecture.Config) *Lambda {
	b.Helper()
	l, err := Open(b.Context(), c)
	if err != nil {
		b.Fatal(err)
	}
	return l
}

// perSecond reports lines per processor second of work over a history.
func perSecond(b *testing.B, lines int, work func()) {
	b.Helper()
	began := conformance.ProcessorTime(b)
	for b.Loop() {
		work()
	}
	used := conformance.ProcessorTime(b) - began
	b.ReportMetric(float64(b.N)*float64(lines)/used.Seconds(), "lines/cpu-s")
	b.ReportMetric(float64(conformance.ResidentPeak(b)>>20), "peak-MiB")
	b.ReportMetric(mostResident, "peak-MiB-ceiling")
}

// writeHistory writes so many synthetic lines, copies included, and their profile
// changes as segments, and merges them as the batch layer does.
func writeHistory(b *testing.B, m *master.Master, lines int) {
	b.Helper()
	source, err := synthetic.New(synthetic.DefaultParams())
	if err != nil {
		b.Fatal(err)
	}
	at := coverage.Zero(benchPartitions)
	var e workloads.Event
	for done := 0; done < lines; {
		var some []master.Line
		var changes []master.Change
		for done < lines && len(some) < int(defaultLimits.segment) {
			if err := source.Next(&e); err != nil {
				b.Fatal(err)
			}
			n := eventlog.Partition(e.AppendKey(nil), benchPartitions)
			if e.Topic == workloads.Customers {
				changes = append(changes, master.Change{Partition: n, Offset: at.Customers[n], ProfileChange: e.Change})
				at.Customers[n]++
				continue
			}
			copies := 1
			if done%repeatEvery == 0 && lines-done > 1 {
				copies = 2
			}
			for range copies {
				some = append(some, master.Line{Partition: n, Offset: at.Orders[n], OrderLine: e.Line})
				at.Orders[n]++
				done++
			}
		}
		g, err := m.Write(at, some, changes)
		if err == nil {
			err = m.Commit(g, 0)
		}
		if err == nil {
			err = m.MergeSmall(b.Context(), func() error { return nil })
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
