package unified

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"archbench/common/architecture"
	"archbench/common/event"
	"archbench/common/eventlog"
	"archbench/common/intake"
	"archbench/common/view"
	"archbench/workloads"
)

// The benchmarks of this file measure the processor time of the process on one
// thread of DuckDB, with the memory that the command gives it, and print beside it
// what is demanded, as <unit>-floor. ARCHBENCH_BENCH_LINES sets the records of the
// history. Where a figure is a bound from above, the demanded one is the most.
const (
	benchRecords = 1_000_000
	benchMemory  = 1 << 30
	// leastReprocess is demanded of a reprocess, in lines per processor second.
	leastReprocess = 300_000
	// shortTrigger is the shortest trigger that is demanded.
	shortTrigger = 250 * time.Millisecond
	// mostShare is the most that micro-batches may take of a core, so that reading the
	// log and answers find room beside them.
	mostShare = 0.7
)

func historyLength(b *testing.B) int {
	b.Helper()
	s := os.Getenv("ARCHBENCH_BENCH_LINES")
	if s == "" {
		return benchRecords
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < maxWaiting {
		b.Fatalf("ARCHBENCH_BENCH_LINES is %q: it must be a number of lines, at least %d", s, maxWaiting)
	}
	return n
}

// processorTime is what the process has used, in user and in system mode.
func processorTime(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// peakMiB is the most memory that the process has had resident: Go's heap, DuckDB's
// and mapped files together.
func peakMiB(t testing.TB) float64 {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); fields[0] == "VmHWM:" {
			kib, err := strconv.ParseFloat(fields[1], 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib / 1024
		}
	}
	t.Fatal("/proc/self/status has no VmHWM")
	return 0
}

// forgetPeak lets peakMiB count from now on.
func forgetPeak(t testing.TB) {
	t.Helper()
	runtime.GC()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		t.Fatal(err)
	}
}

// record is one that waits in the log.
type record struct {
	topic     workloads.Topic
	partition int
	offset    int64
	value     []byte
}

// ahead makes the next n records without delivering them.
func (f *feed) ahead(n int) []record {
	f.t.Helper()
	var e workloads.Event
	records := make([]record, n)
	for i := range records {
		if err := f.source.Next(&e); err != nil {
			f.t.Fatal(err)
		}
		p := eventlog.Partition(e.AppendKey(nil), feedPartitions)
		records[i] = record{e.Topic, p, f.next[e.Topic][p], e.AppendValue(nil, 0)}
		f.next[e.Topic][p]++
	}
	return records
}

// intakeChunk is how many records of a partition come at once.
const intakeChunk = 512

// deliver decodes records and puts them into the inbox as the followers do, some
// hundred of a partition at once.
func (f *feed) deliver(records []record) {
	f.t.Helper()
	d := event.NewDecoder()
	orders := make([]intake.Orders, feedPartitions)
	flush := func(p int) {
		if err := f.u.inbox.putOrders(f.t.Context(), p, orders[p]); err != nil {
			f.t.Fatal(err)
		}
		orders[p].Records = orders[p].Records[:0]
	}
	for i := range records {
		r := &records[i]
		var err error
		if r.topic == workloads.Orders {
			in := &orders[r.partition]
			in.Records, in.Next = append(in.Records, intake.OrderRecord{Offset: r.offset, Value: r.value}), r.offset+1
			if err = d.Order(r.value, &in.Records[len(in.Records)-1].Line); err == nil && len(in.Records) == intakeChunk {
				flush(r.partition)
			}
		} else {
			c := intake.CustomerRecord{Offset: r.offset, Value: r.value}
			err = errors.Join(d.Profile(r.value, &c.Change), f.u.inbox.putCustomers(f.t.Context(), r.partition, intake.Customers{Records: []intake.CustomerRecord{c}, Next: r.offset + 1}))
		}
		if err != nil {
			f.t.Fatal(err)
		}
	}
	for p := range orders {
		if len(orders[p].Records) > 0 {
			flush(p)
		}
	}
}

// backlog is how many records a micro-batch takes while a backlog is worked off.
const backlog = maxWaiting / 2

// backfill takes the next n records through micro-batches as a backlog comes, and
// returns the processor time without that of making the records.
func (f *feed) backfill(n int) (used time.Duration) {
	f.t.Helper()
	for ; n > 0; n -= backlog {
		records := f.ahead(min(n, backlog))
		began := processorTime(f.t)
		f.deliver(records)
		f.batch()
		used += processorTime(f.t) - began
	}
	return used
}

func benchFeed(b *testing.B) *feed {
	b.Helper()
	return newFeed(b, architecture.Config{Threads: 1, MemoryBytes: benchMemory})
}

// BenchmarkBackfill takes a history from records as the log has them to the
// published gold: decoding, ids, bronze, silver, gold, upkeep.
func BenchmarkBackfill(b *testing.B) {
	n := historyLength(b)
	var used time.Duration
	rounds := 0
	for b.Loop() {
		rounds++
		forgetPeak(b)
		f := benchFeed(b)
		used += f.backfill(n)
		b.ReportMetric(peakMiB(b), "MiB-peak")
		b.ReportMetric(f.servedMiB(), "MiB-served")
		f.stop()
	}
	b.ReportMetric(float64(rounds*n)/used.Seconds(), "lines/cpu-s")
}

// servedMiB is what DuckDB holds in memory, above all the tables that answers read.
func (f *feed) servedMiB() (mib float64) {
	f.t.Helper()
	if err := f.u.db.QueryRowContext(f.t.Context(), "SELECT sum(memory_usage_bytes) / 1048576.0 FROM duckdb_memory()").Scan(&mib); err != nil {
		f.t.Fatal(err)
	}
	return mib
}

// BenchmarkReprocess makes and switches to the gold of other rules, from silver: it
// holds the usable lines without duplicates, which no rules change.
func BenchmarkReprocess(b *testing.B) {
	n := historyLength(b)
	f := benchFeed(b)
	f.backfill(n)
	rules := view.MerchandiseOnly
	var used time.Duration
	rounds := 0
	for b.Loop() {
		rounds++
		forgetPeak(b)
		began := processorTime(b)
		f.ask(rules)
		if err := f.u.finishRebuild(b.Context(), f.prepared()); err != nil {
			b.Fatal(err)
		}
		used += processorTime(b) - began
		rules = 3 - rules // the other ones
		b.ReportMetric(peakMiB(b), "MiB-peak")
		f.put(1)
		f.batch() // removes the old generation
	}
	b.ReportMetric(float64(rounds*n)/used.Seconds(), "lines/cpu-s")
	b.ReportMetric(leastReprocess, "lines/cpu-s-floor")
}

// BenchmarkRestart opens a directory with a history until committed state can be asked.
func BenchmarkRestart(b *testing.B) {
	n := historyLength(b)
	f := benchFeed(b)
	f.backfill(n)
	var used, took time.Duration
	rounds := 0
	for b.Loop() {
		rounds++
		f.stop()
		forgetPeak(b)
		from, began := processorTime(b), time.Now()
		f.reopen()
		used += processorTime(b) - from
		took += time.Since(began)
		b.ReportMetric(peakMiB(b), "MiB-peak")
		b.ReportMetric(f.servedMiB(), "MiB-served")
	}
	b.ReportMetric(float64(rounds*n)/used.Seconds(), "lines/cpu-s")
	b.ReportMetric(took.Seconds()/float64(rounds), "s")
}

// BenchmarkMicroBatch makes micro-batches of what 5,000 records a second bring within
// a trigger, upkeep included, on 200,000 lines of history. A trigger is kept on one core
// where share, what a batch takes of it in processor time, stays well below 1.
func BenchmarkMicroBatch(b *testing.B) {
	const rate, history = 5_000, 200_000
	for _, trigger := range []time.Duration{100 * time.Millisecond, 150 * time.Millisecond, shortTrigger, time.Second} {
		b.Run(trigger.String(), func(b *testing.B) {
			f := benchFeed(b)
			f.backfill(history)
			records := int(rate * trigger.Seconds())
			var took []time.Duration
			var used time.Duration
			for b.Loop() {
				b.StopTimer()
				waiting := f.ahead(records)
				from := processorTime(b)
				b.StartTimer()
				f.deliver(waiting)
				took = append(took, f.batch())
				used += processorTime(b) - from
			}
			slices.Sort(took)
			ms := func(d time.Duration) float64 { return d.Seconds() * 1000 }
			b.ReportMetric(ms(used)/float64(len(took)), "cpu-ms/batch")
			b.ReportMetric(used.Seconds()/float64(len(took))/trigger.Seconds(), "share")
			b.ReportMetric(mostShare, "share-most")
			b.ReportMetric(ms(took[len(took)/2]), "ms-median")
			b.ReportMetric(ms(took[len(took)*99/100]), "ms-p99")
		})
	}
}

// dataBytes is the size of the files in a directory, by their extension. A merge that
// runs may take files away meanwhile.
func dataBytes(t testing.TB, dir string) (bytes, files map[string]int64) {
	t.Helper()
	bytes, files = map[string]int64{}, map[string]int64{}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			return nil
		}
		var info os.FileInfo
		if err == nil {
			info, err = e.Info()
		}
		if err != nil {
			if errors.Is(err, os.ErrNotExist) {
				return nil
			}
			return err
		}
		bytes[filepath.Ext(path)] += info.Size()
		files[filepath.Ext(path)]++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return bytes, files
}
