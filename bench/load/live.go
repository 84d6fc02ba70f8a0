package load

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"archbench/bench/stats"
	"archbench/common/eventlog"
)

// Schedule says when each event of a live part is meant to be sent.
type Schedule struct {
	StartUS int64   // µs since the epoch
	Rate    float64 // events per second
}

// Intended is when event i is due, µs since the epoch.
func (s Schedule) Intended(i int64) int64 { return s.StartUS + int64(float64(i)/s.Rate*1e6) }

// Live is what a live part did.
type Live struct {
	Schedule
	Events int64
	// Lag is, for every event, how much later than its intended time and the linger
	// its partition's producer sent it, µs; 0 for those that were early.
	Lag stats.Histogram
	// LastUS is when the last event was sent, less the linger.
	LastUS int64
}

// EndUS is when the schedule ended: the intended time of the event after the last.
func (l *Live) EndUS() int64 { return l.Intended(l.Events) }

// AchievedPerS is the rate at which producers sent events: the
// schedule's own, unless the last one was late.
func (l *Live) AchievedPerS() float64 {
	if l.Events == 0 {
		return 0
	}
	took := max(l.LastUS-l.StartUS, l.Intended(l.Events-1)-l.StartUS)
	return float64(l.Events) / (float64(took)/1e6 + 1/l.Rate)
}

// tick is the generator's rest between looks at the schedule.
const tick = time.Millisecond

// Linger is how long a partition's producer waits for more to send with the first
// event at hand. It is part of every latency, and the default of Kafka's own
// producer since 4.0 (linger.ms, KIP-1030): without it the broker spends the
// processor on thousands of small requests a second, and every latency suffers.
const Linger = 5 * time.Millisecond

// queued is how many hand-overs may wait for one partition's sender.
const queued = 4096

// Live sends events at a rate, per second, from start on, until n are sent, the
// source ends or the context does.
func (l *Loader) Live(ctx context.Context, start time.Time, rate float64, n int64) (*Live, error) {
	s := &sending{Loader: l, live: &Live{Schedule: Schedule{l.clock.US(start), rate}, Lag: stats.New()}, queues: map[string][]chan []due{}}
	g, gctx := errgroup.WithContext(ctx)
	for _, topic := range []string{l.topics.Orders, l.topics.Customers} {
		for range l.partitions {
			q := make(chan []due, queued)
			s.queues[topic] = append(s.queues[topic], q)
			g.Go(func() error { return s.send(gctx, topic, q) })
		}
	}
	err := s.generate(gctx, n)
	for _, qs := range s.queues {
		for _, q := range qs {
			close(q)
		}
	}
	if failed := g.Wait(); failed != nil {
		err = failed // the generator only saw its context end
	}
	if err != nil {
		return s.live, fmt.Errorf("send live events: %w", err)
	}
	return s.live, nil
}

// sending is a live part under way.
type sending struct {
	*Loader
	queues map[string][]chan []due

	mu   sync.Mutex
	live *Live
}

// due is a record with the time it was meant to go.
type due struct {
	eventlog.Record
	intendedUS int64
}

// generate hands each event to its partition's sender when it is due.
func (s *sending) generate(ctx context.Context, n int64) error {
	rest := time.NewTimer(0)
	defer rest.Stop()
	for s.live.Events < n && !s.ended {
		select {
		case <-rest.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		now := s.clock.NowUS()
		b := s.newBatch()
		first := s.live.Events
		for s.live.Events < n && s.live.Intended(s.live.Events) <= now {
			ok, err := s.take(b, s.live.Intended(s.live.Events))
			if err != nil {
				return err
			}
			if !ok {
				break
			}
			s.live.Events++
		}
		if s.live.Events > first {
			if err := s.handOver(ctx, b); err != nil {
				return err
			}
		}
		rest.Reset(tick)
	}
	return nil
}

// handOver gives each partition's records to its sender.
func (s *sending) handOver(ctx context.Context, b *batch) error {
	for p := range s.partitions {
		for _, to := range []struct {
			topic   string
			records []eventlog.Record
			sent    []Record
		}{{s.topics.Customers, b.customers[p], s.sent.Customers[p]}, {s.topics.Orders, b.orders[p], s.sent.Orders[p]}} {
			if len(to.records) == 0 {
				continue
			}
			out := make([]due, len(to.records))
			for i, r := range to.records {
				out[i] = due{r, to.sent[len(to.sent)-len(to.records)+i].IntendedUS}
			}
			select {
			case s.queues[to.topic][p] <- out:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

// send writes one partition: what comes within a linger goes in one write.
func (s *sending) send(ctx context.Context, topic string, q <-chan []due) error {
	for first := range q {
		batch, err := s.gather(ctx, first, q)
		if err != nil {
			return err
		}
		if err := s.note(batch); err != nil {
			return err
		}
		records := make([]eventlog.Record, len(batch))
		for i := range batch {
			records[i] = batch[i].Record
		}
		if err := s.log.Append(ctx, topic, records...); err != nil {
			return err
		}
	}
	return nil
}

// gather adds to the batch what is there, and what comes until the linger of its
// first event is over.
func (s *sending) gather(ctx context.Context, batch []due, q <-chan []due) ([]due, error) {
	late := time.Duration(s.clock.NowUS()-batch[0].intendedUS) * time.Microsecond
	over := time.NewTimer(Linger - late)
	defer over.Stop()
	for len(batch) < historyBatch {
		var next []due
		var more bool
		select {
		case next, more = <-q:
		default:
			select {
			case next, more = <-q:
			case <-over.C:
				return batch, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		if !more {
			return batch, nil
		}
		batch = append(batch, next...)
	}
	return batch, nil
}

// note records how late the events are as they are sent.
func (s *sending) note(batch []due) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	sent := s.clock.NowUS() - Linger.Microseconds()
	s.live.LastUS = max(s.live.LastUS, sent)
	for i := range batch {
		if err := s.live.Lag.Record(max(0, sent-batch[i].intendedUS)); err != nil {
			return fmt.Errorf("lag of the generator: %w", err)
		}
	}
	return nil
}
