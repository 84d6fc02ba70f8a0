package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/zeebo/xxh3"
	"golang.org/x/sync/errgroup"

	"archbench/bench/clock"
	"archbench/common/eventlog"
	"archbench/workloads"
)

// Record is what is known of one record that was sent.
type Record struct {
	Index      int64  // in the source
	IntendedUS int64  // µs since the epoch
	Hash       uint64 // of the value, to find it in the log
}

// Sent is what was sent, by topic and partition, in order.
type Sent struct {
	Orders, Customers [][]Record
	// Late, Duplicate and Poison are how many events disturbances made so.
	Late, Duplicate, Poison int64
}

// Hash is how a value is known again.
func Hash(value []byte) uint64 { return xxh3.Hash(value) }

// Loader sends a source's events to one topic set.
type Loader struct {
	log        eventlog.Log
	topics     eventlog.Topics
	partitions int
	source     workloads.Source
	clock      clock.Clock
	sent       Sent
	count      atomic.Int64
	// EarliestMS and LatestMS bound the event times sent so far.
	EarliestMS, LatestMS int64
	ended                bool
}

// New returns a loader that has sent nothing.
func New(log eventlog.Log, topics eventlog.Topics, partitions int, source workloads.Source, c clock.Clock) *Loader {
	return &Loader{log: log, topics: topics, partitions: partitions, source: source, clock: c,
		sent: Sent{Orders: make([][]Record, partitions), Customers: make([][]Record, partitions)}}
}

// Sent returns what was sent. Call it when nothing is being sent.
func (l *Loader) Sent() *Sent { return &l.sent }

// Count is how many events were taken from the source so far, at any time.
func (l *Loader) Count() int64 { return l.count.Load() }

// Ended reports whether the source has no more events. Call it when nothing is being sent.
func (l *Loader) Ended() bool { return l.ended }

// batch collects records by topic and partition.
type batch struct {
	orders, customers [][]eventlog.Record
	n                 int
}

func (l *Loader) newBatch() *batch {
	return &batch{orders: make([][]eventlog.Record, l.partitions), customers: make([][]eventlog.Record, l.partitions)}
}

// room is what most values need, so that they grow in one allocation.
const room = 256

// take encodes the source's next event into the batch. It returns false at the end.
func (l *Loader) take(b *batch, intendedUS int64) (bool, error) {
	var e workloads.Event
	if err := l.source.Next(&e); errors.Is(err, io.EOF) {
		l.ended = true
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("read the workload: %w", err)
	}
	r := eventlog.Record{Key: e.AppendKey(nil), Value: e.AppendValue(make([]byte, 0, room), intendedUS)}
	if len(r.Value) == 0 {
		r.Value = nil // a null, which the log tells from an empty value even if its readers do not
	}
	p := eventlog.Partition(r.Key, l.partitions)
	sent := Record{Index: e.Index, IntendedUS: intendedUS, Hash: Hash(r.Value)}
	if e.Topic == workloads.Customers {
		b.customers[p] = append(b.customers[p], r)
		l.sent.Customers[p] = append(l.sent.Customers[p], sent)
	} else {
		b.orders[p] = append(b.orders[p], r)
		l.sent.Orders[p] = append(l.sent.Orders[p], sent)
		l.noteTime(&e)
	}
	l.sent.note(&e)
	l.count.Add(1)
	b.n++
	return true, nil
}

func (l *Loader) noteTime(e *workloads.Event) {
	if e.Raw != nil {
		return
	}
	at := e.Line.EventTimeMS
	if l.EarliestMS == 0 || at < l.EarliestMS {
		l.EarliestMS = at
	}
	l.LatestMS = max(l.LatestMS, at)
}

func (s *Sent) note(e *workloads.Event) {
	for _, d := range []struct {
		is    bool
		count *int64
	}{{e.Late, &s.Late}, {e.Duplicate, &s.Duplicate}, {e.Poison, &s.Poison}} {
		if d.is {
			*d.count++
		}
	}
}

// historyBatch is how many events of a history go into one write.
const historyBatch = 8000

// History sends the next n events as fast as the log takes them (n < 0: all),
// the next batch being encoded while one is written.
func (l *Loader) History(ctx context.Context, n int64) (int64, error) {
	var done int64
	writing, wctx := errgroup.WithContext(ctx)
	writing.SetLimit(1) // batches are written in order
	for (n < 0 || done < n) && !l.ended && wctx.Err() == nil {
		b := l.newBatch()
		now := l.clock.NowUS()
		for b.n < historyBatch && (n < 0 || done+int64(b.n) < n) {
			ok, err := l.take(b, now)
			if err != nil {
				return done, errors.Join(err, writing.Wait())
			}
			if !ok {
				break
			}
		}
		done += int64(b.n)
		writing.Go(func() error { return l.write(wctx, b) })
	}
	if err := writing.Wait(); err != nil {
		return done, err
	}
	return done, ctx.Err()
}

// write appends a whole batch, the partitions side by side.
func (l *Loader) write(ctx context.Context, b *batch) error {
	g, ctx := errgroup.WithContext(ctx)
	for p := range l.partitions {
		if len(b.customers[p]) > 0 {
			g.Go(func() error { return l.log.Append(ctx, l.topics.Customers, b.customers[p]...) })
		}
		if len(b.orders[p]) > 0 {
			g.Go(func() error { return l.log.Append(ctx, l.topics.Orders, b.orders[p]...) })
		}
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("send events: %w", err)
	}
	return nil
}
