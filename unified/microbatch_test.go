package unified

import (
	"errors"
	"testing"
	"time"

	"archbench/common/architecture"
	"archbench/common/event"
	"archbench/common/eventlog"
	"archbench/common/eventlog/memlog"
	"archbench/common/intake"
	"archbench/workloads"
	"archbench/workloads/synthetic"
)

// feed puts synthetic events into an instance's inbox, as its followers would.
type feed struct {
	t      testing.TB
	c      architecture.Config
	u      *Unified
	closed bool
	source *synthetic.Source
	next   map[workloads.Topic][]int64
}

const feedPartitions = 4

// newFeed opens an instance on an empty log, and a feed into it.
func newFeed(t testing.TB, c architecture.Config) *feed {
	t.Helper()
	log := memlog.New()
	t.Cleanup(func() { log.Close() })
	c.Log, c.Topics = log, eventlog.TopicsOf("feed")
	if err := log.Create(t.Context(), feedPartitions, c.Topics.All()...); err != nil {
		t.Fatal(err)
	}
	if c.Dir == "" {
		c.Dir = t.TempDir()
	}
	u, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	f := &feed{t: t, c: c, u: u}
	f.rewind(0)
	t.Cleanup(f.stop)
	return f
}

// rewind goes back to where so many events were delivered.
func (f *feed) rewind(events int) {
	f.t.Helper()
	source, err := synthetic.New(synthetic.DefaultParams())
	if err != nil {
		f.t.Fatal(err)
	}
	f.source, f.next = source, map[workloads.Topic][]int64{workloads.Orders: make([]int64, feedPartitions), workloads.Customers: make([]int64, feedPartitions)}
	var e workloads.Event
	for range events {
		if err := f.source.Next(&e); err != nil {
			f.t.Fatal(err)
		}
		f.next[e.Topic][eventlog.Partition(e.AppendKey(nil), feedPartitions)]++
	}
}

// stop closes the instance, as the end of Run does.
func (f *feed) stop() {
	if f.closed {
		return
	}
	f.closed = true
	f.u.abandonMerge()
	if err := f.u.close(); err != nil {
		f.t.Error(err)
	}
}

// put delivers the next n events.
func (f *feed) put(n int) {
	f.t.Helper()
	var e workloads.Event
	d := event.NewDecoder()
	for range n {
		if err := f.source.Next(&e); err != nil {
			f.t.Fatal(err)
		}
		value := e.AppendValue(nil, 0)
		p := eventlog.Partition(e.AppendKey(nil), feedPartitions)
		offset := f.next[e.Topic][p]
		f.next[e.Topic][p]++
		var err error
		if e.Topic == workloads.Orders {
			r := intake.OrderRecord{Offset: offset, Value: value}
			err = errors.Join(d.Order(value, &r.Line), f.u.inbox.putOrders(f.t.Context(), p, intake.Orders{Records: []intake.OrderRecord{r}, Next: offset + 1}))
		} else {
			r := intake.CustomerRecord{Offset: offset, Value: value}
			err = errors.Join(d.Profile(value, &r.Change), f.u.inbox.putCustomers(f.t.Context(), p, intake.Customers{Records: []intake.CustomerRecord{r}, Next: offset + 1}))
		}
		if err != nil {
			f.t.Fatal(err)
		}
	}
}

// batch makes a micro-batch of what was put, and the upkeep that is due.
func (f *feed) batch() time.Duration {
	f.t.Helper()
	began := time.Now()
	if err := f.u.microBatch(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
	select {
	case err := <-f.u.mergeDone():
		if err := f.u.finishMerge(f.t.Context(), err); err != nil {
			f.t.Fatal(err)
		}
	default:
	}
	return time.Since(began)
}
