package conformance

import (
	"context"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"archbench/common/architecture"
	"archbench/common/coverage"
	"archbench/common/eventlog"
	"archbench/common/eventlog/memlog"
	"archbench/common/view"
	"archbench/workloads"
	"archbench/workloads/synthetic"
)

const (
	benchEvents     = 1_000_000
	benchPartitions = 4
	// leastShare is what effectively-once must reach of at-least-once, in events per
	// processor second.
	leastShare = 0.8
)

// BenchmarkGuarantees takes the same synthetic traffic from a log in memory through
// the subject under at-least-once and under effectively-once in turn, until all of
// it is committed (and, with a seam, in the batch layer), and compares the events
// per processor second of this process. Reading and decoding are in both figures.
func BenchmarkGuarantees(b *testing.B, s Subject) {
	log, topics, end := benchLog(b)
	used := map[architecture.Guarantee]time.Duration{}
	order := []architecture.Guarantee{architecture.AtLeastOnce, architecture.EffectivelyOnce}
	rounds := 0
	for b.Loop() {
		rounds++
		for _, g := range order {
			used[g] += benchBackfill(b, s, g, log, topics, end)
		}
		slices.Reverse(order) // neither always finds what the other left in memory
	}
	perSecond := func(g architecture.Guarantee) float64 { return float64(rounds*benchEvents) / used[g].Seconds() }
	share := perSecond(architecture.EffectivelyOnce) / perSecond(architecture.AtLeastOnce)
	b.ReportMetric(perSecond(architecture.AtLeastOnce), "at-least-once-events/cpu-s")
	b.ReportMetric(perSecond(architecture.EffectivelyOnce), "effectively-once-events/cpu-s")
	b.ReportMetric(share, "share")
	b.ReportMetric(leastShare, "share-floor")
}

// benchLog fills a log.
func benchLog(b *testing.B) (eventlog.Log, eventlog.Topics, coverage.Coverage) {
	b.Helper()
	log, topics, end := memlog.New(), eventlog.TopicsOf("guarantees"), coverage.Zero(benchPartitions)
	b.Cleanup(func() { log.Close() })
	if err := log.Create(b.Context(), benchPartitions, topics.All()...); err != nil {
		b.Fatal(err)
	}
	source, err := synthetic.New(synthetic.DefaultParams())
	if err != nil {
		b.Fatal(err)
	}
	var e workloads.Event
	for range benchEvents {
		if err := source.Next(&e); err != nil {
			b.Fatal(err)
		}
		r := eventlog.Record{Key: e.AppendKey(nil), Value: e.AppendValue(nil, 0)}
		topic, next := topics.Orders, end.Orders
		if e.Topic == workloads.Customers {
			topic, next = topics.Customers, end.Customers
		}
		next[eventlog.Partition(r.Key, benchPartitions)]++
		if err := log.Append(b.Context(), topic, r); err != nil {
			b.Fatal(err)
		}
	}
	return log, topics, end
}

// benchBackfill returns the processor time from opening to a clean end.
func benchBackfill(b *testing.B, s Subject, g architecture.Guarantee, log eventlog.Log, topics eventlog.Topics, end coverage.Coverage) time.Duration {
	b.Helper()
	dir := b.TempDir()
	runtime.GC() // of what went before
	began := ProcessorTime(b)
	a, err := s.Open(b.Context(), architecture.Config{
		Log: log, Topics: topics, Dir: dir, Params: view.DefaultParams(), Rules: view.EveryLine, Policy: architecture.Bounded, Lateness: architecture.DefaultLateness, Guarantee: g,
		BatchInterval: 2 * time.Second, Trigger: 250 * time.Millisecond})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	for done := false; !done; {
		select {
		case err := <-ended:
			b.Fatalf("it ended before all was committed: %v", err)
		case <-time.After(5 * time.Millisecond):
		}
		now := a.Status()
		done = now.Committed.AtLeast(end) && (!s.HasSeam || now.Seam.AtLeast(end))
	}
	stop()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
	return ProcessorTime(b) - began
}

// ProcessorTime is what this process has used, user and system together.
func ProcessorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// ResidentPeak is the most memory, in bytes, that this process has had resident since
// it began, or the kernel was made to forget it: Go's heap, DuckDB's and mapped files
// together.
func ResidentPeak(b *testing.B) int64 {
	b.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "VmHWM:" {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			return kib << 10
		}
	}
	b.Fatal("/proc/self/status has no VmHWM")
	return 0
}
