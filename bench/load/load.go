package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"

	"archbench/bench/stats"
	"archbench/common/eventlog"
	"archbench/workloads"
)

// Sent is what was sent, by topic and partition, in order: the intended times.
// While one writer writes a partition, the n-th record has offset n.
type Sent struct {
	Orders, Customers [][]int64 // µs since the epoch
}

// Events counts all records.
func (s *Sent) Events() int64 {
	var n int64
	for _, topic := range [][][]int64{s.Orders, s.Customers} {
		for _, p := range topic {
			n += int64(len(p))
		}
	}
	return n
}

// Loader sends a source's events to one topic set.
type Loader struct {
	log        eventlog.Log
	topics     eventlog.Topics
	partitions int
	source     workloads.Source
	sent       Sent
	// EarliestMS and LatestMS bound the event times sent so far.
	EarliestMS, LatestMS int64
	ended                bool
}

// New returns a loader that has sent nothing.
func New(log eventlog.Log, topics eventlog.Topics, partitions int, source workloads.Source) *Loader {
	return &Loader{log: log, topics: topics, partitions: partitions, source: source,
		sent: Sent{Orders: make([][]int64, partitions), Customers: make([][]int64, partitions)}}
}

// Sent returns what was sent. Call it when nothing is being sent.
func (l *Loader) Sent() *Sent { return &l.sent }

// batch collects records by topic and partition.
type batch struct {
	orders, customers [][]eventlog.Record
	n                 int
}

func (l *Loader) newBatch() *batch {
	return &batch{orders: make([][]eventlog.Record, l.partitions), customers: make([][]eventlog.Record, l.partitions)}
}

// take encodes the source's next event into the batch. It returns false at the end.
func (l *Loader) take(b *batch, intendedUS int64) (bool, error) {
	var e workloads.Event
	if err := l.source.Next(&e); errors.Is(err, io.EOF) {
		l.ended = true
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("read the workload: %w", err)
	}
	r := eventlog.Record{Key: e.AppendKey(nil), Value: e.AppendValue(make([]byte, 0, 256), intendedUS)}
	p := eventlog.Partition(r.Key, l.partitions)
	if e.Topic == workloads.Customers {
		b.customers[p] = append(b.customers[p], r)
		l.sent.Customers[p] = append(l.sent.Customers[p], intendedUS)
	} else {
		b.orders[p] = append(b.orders[p], r)
		l.sent.Orders[p] = append(l.sent.Orders[p], intendedUS)
		if at := e.Line.EventTimeMS; e.Raw == nil {
			if l.EarliestMS == 0 || at < l.EarliestMS {
				l.EarliestMS = at
			}
			l.LatestMS = max(l.LatestMS, at)
		}
	}
	b.n++
	return true, nil
}

// historyBatch is how many events of a history go into one write.
const historyBatch = 8000

// History sends the next n events as fast as the log takes them (n < 0: all).
func (l *Loader) History(ctx context.Context, n int64) (int64, error) {
	var done int64
	for n < 0 || done < n {
		b := l.newBatch()
		now := time.Now().UnixMicro()
		for b.n < historyBatch && (n < 0 || done+int64(b.n) < n) {
			ok, err := l.take(b, now)
			if err != nil {
				return done, err
			}
			if !ok {
				break
			}
		}
		if err := l.write(ctx, b); err != nil {
			return done, err
		}
		done += int64(b.n)
		if l.ended {
			break
		}
	}
	return done, nil
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

// Live is what a live part did.
type Live struct {
	Start, End time.Time // of the schedule
	Events     int64
	Lag        stats.Histogram // from the intended time to handing over to the client, µs
	AchievedPS float64
}

// tick is the generator's rest between looks at the schedule.
const tick = time.Millisecond

// Live sends events at a rate, per second, from start on, until n are sent, the
// source ends or the context does. Event i is due at start + i/rate.
func (l *Loader) Live(ctx context.Context, start time.Time, rate float64, n int64) (Live, error) {
	live := Live{Start: start, Lag: stats.New()}
	g, gctx := errgroup.WithContext(ctx)
	queues := map[string][]chan []eventlog.Record{}
	for _, topic := range []string{l.topics.Orders, l.topics.Customers} {
		for range l.partitions {
			q := make(chan []eventlog.Record, 4096)
			queues[topic] = append(queues[topic], q)
			g.Go(func() error { return l.sender(gctx, topic, q) })
		}
	}
	err := l.generate(gctx, &live, rate, n, queues)
	for _, qs := range queues {
		for _, q := range qs {
			close(q)
		}
	}
	if waiting := g.Wait(); waiting != nil {
		err = waiting
	}
	live.End = time.Now()
	if s := live.End.Sub(start).Seconds(); s > 0 {
		live.AchievedPS = float64(live.Events) / max(s, float64(live.Events)/rate)
	}
	if err != nil {
		return live, fmt.Errorf("send live events: %w", err)
	}
	return live, nil
}

// generate hands each event over when it is due.
func (l *Loader) generate(ctx context.Context, live *Live, rate float64, n int64, queues map[string][]chan []eventlog.Record) error {
	startUS := start(live.Start)
	for live.Events < n && !l.ended {
		due := min(n, int64(time.Since(live.Start).Seconds()*rate)+1)
		b := l.newBatch()
		for live.Events < due {
			intended := startUS + int64(float64(live.Events)/rate*1e6)
			ok, err := l.take(b, intended)
			if err != nil {
				return err
			}
			if !ok {
				break
			}
			live.Events++
			if err := live.Lag.Record(max(0, startUS+time.Since(live.Start).Microseconds()-intended)); err != nil {
				return err
			}
		}
		for topic, byPartition := range map[string][][]eventlog.Record{l.topics.Customers: b.customers, l.topics.Orders: b.orders} {
			for p, records := range byPartition {
				if len(records) == 0 {
					continue
				}
				select {
				case queues[topic][p] <- records:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}
		select {
		case <-time.After(tick):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// start is the one wall-clock reading of a schedule; everything after is monotonic.
func start(t time.Time) int64 { return t.UnixMicro() }

// sender writes one partition, everything at hand in one go.
func (l *Loader) sender(ctx context.Context, topic string, q <-chan []eventlog.Record) error {
	for records := range q {
		for more := true; more && len(records) < historyBatch; {
			select {
			case next, ok := <-q:
				records = append(records, next...)
				more = ok
			default:
				more = false
			}
		}
		if err := l.log.Append(ctx, topic, records...); err != nil {
			return err
		}
	}
	return nil
}
