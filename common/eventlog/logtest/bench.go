package logtest

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"archbench/common/eventlog"
)

const (
	benchRecords = 500_000
	benchBytes   = 200 // of a value, about an order line
	benchBatch   = 500
	liveRate     = 5_000 // records per second
	liveFor      = 6 * time.Second
	warmUp       = 2 * time.Second // of which nothing counts: a fresh broker compiles its code
)

// Bench measures a back end: reading, appending, and the way from one to the other.
func Bench(b *testing.B, l Backend) {
	b.Run("read", func(b *testing.B) { benchRead(b, l) })
	b.Run("append", func(b *testing.B) { benchAppend(b, l) })
	b.Run("latency", func(b *testing.B) { benchLatency(b, l) })
}

func benchBatchOf(n int) []eventlog.Record {
	value := bytes.Repeat([]byte("v"), benchBytes)
	return slices.Repeat([]eventlog.Record{{Key: []byte("17850"), Value: value}}, n)
}

// benchRead reads half a million records from the log's start per round.
func benchRead(b *testing.B, l Backend) {
	topic, batch := Topic(b, l, 1), benchBatchOf(benchBatch)
	for range benchRecords / benchBatch {
		if err := l.Append(b.Context(), topic, batch...); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	cpu, rounds := cpuTime(b), 0
	for b.Loop() {
		rounds++
		c, err := l.Open(b.Context(), topic, 0, 0)
		if err != nil {
			b.Fatal(err)
		}
		for n := 0; n < benchRecords; {
			rs, err := c.Next(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			n += len(rs)
		}
		if err := c.Close(); err != nil {
			b.Fatal(err)
		}
	}
	report(b, rounds*benchRecords, cpuTime(b)-cpu)
}

// benchAppend appends batches of 500, each acknowledged before the next.
func benchAppend(b *testing.B, l Backend) {
	topic, batch := Topic(b, l, 1), benchBatchOf(benchBatch)
	b.ReportAllocs()
	cpu, rounds := cpuTime(b), 0
	for b.Loop() {
		rounds++
		if err := l.Append(b.Context(), topic, batch...); err != nil {
			b.Fatal(err)
		}
	}
	report(b, rounds*benchBatch, cpuTime(b)-cpu)
}

func report(b *testing.B, events int, cpu time.Duration) {
	b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(events)/cpu.Seconds(), "events/cpu-s")
}

// cpuTime is what this process has used so far; a broker inside it counts too.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// benchLatency sends on schedule and measures from the intended time of each
// record to its arrival at a cursor that waits.
func benchLatency(b *testing.B, l Backend) {
	const n = int(liveRate * int64(liveFor) / int64(time.Second))
	var took []time.Duration
	for b.Loop() {
		topic := Topic(b, l, 1)
		c, err := l.Open(b.Context(), topic, 0, 0)
		if err != nil {
			b.Fatal(err)
		}
		began := time.Now()
		g, ctx := errgroup.WithContext(b.Context())
		g.Go(func() error { return sendOnSchedule(ctx, l, topic, began, n) })
		for read := 0; read < n; {
			rs, err := c.Next(ctx)
			if err != nil {
				b.Fatal(err)
			}
			now := time.Since(began)
			for _, r := range rs {
				if intended := time.Duration(binary.BigEndian.Uint64(r.Value)); intended >= warmUp {
					took = append(took, now-intended)
				}
			}
			read += len(rs)
		}
		if err := g.Wait(); err != nil {
			b.Fatal(err)
		}
		if err := c.Close(); err != nil {
			b.Fatal(err)
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

// sendOnSchedule appends what is due, however late the last write came back.
func sendOnSchedule(ctx context.Context, l eventlog.Log, topic string, began time.Time, n int) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for sent := 0; sent < n; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		due := min(n, int(time.Since(began)*liveRate/time.Second))
		batch := benchBatchOf(due - sent)
		for i := range batch {
			intended := time.Duration(sent+i) * time.Second / liveRate
			batch[i].Value = binary.BigEndian.AppendUint64(make([]byte, 0, benchBytes), uint64(intended))
			batch[i].Value = batch[i].Value[:benchBytes]
		}
		if err := l.Append(ctx, topic, batch...); err != nil {
			return err
		}
		sent = due
	}
	return nil
}
