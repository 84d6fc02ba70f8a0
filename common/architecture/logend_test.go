package architecture_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"archbench/common/architecture"
	"archbench/common/coverage"
	"archbench/common/eventlog"
	"archbench/common/eventlog/memlog"
)

func at(orders, customers int64) coverage.Coverage {
	return coverage.Coverage{Orders: coverage.Vector{orders}, Customers: coverage.Vector{customers}}
}

// reported is lag and readiness of one that covers so much.
func reported(e *architecture.LogEnd, c coverage.Coverage) (lag int64, ready bool) {
	s := architecture.Status{Coverage: c}
	e.Report(&s)
	return s.Lag, s.Ready
}

func TestReadyIsWhatReachedTheEndThatItFound(t *testing.T) {
	var e architecture.LogEnd
	if lag, ready := reported(&e, at(0, 0)); lag != 0 || ready || e.Passed(at(0, 0)) {
		t.Errorf("before a Run began: lag %d, ready %v, passed %v", lag, ready, e.Passed(at(0, 0)))
	}
	e.Start(at(5, 2))
	for _, c := range []struct {
		at            coverage.Coverage
		lag           int64
		passed, ready bool
	}{
		{at(4, 2), 1, false, false},
		{at(7, 1), 0, false, false}, // ahead in one topic does not make up for the other
		{at(5, 2), 0, true, true},
		{at(3, 0), 4, false, true}, // once ready is ready
	} {
		if lag, ready := reported(&e, c.at); lag != c.lag || ready != c.ready || e.Passed(c.at) != c.passed {
			t.Errorf("at %s: lag %d, ready %v, passed %v, want %+v", c.at, lag, ready, e.Passed(c.at), c)
		}
	}
}

// deaf is a log that does not answer as long as it is told to.
type deaf struct {
	eventlog.Log
	now atomic.Bool
}

func (d *deaf) Partitions(ctx context.Context, topic string) (int, error) {
	if d.now.Load() {
		return 0, errors.New("no answer")
	}
	return d.Log.Partitions(ctx, topic)
}

func TestTheLogsEndIsWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memlog.New()
		topics := eventlog.TopicsOf("end")
		if err := mem.Create(t.Context(), 1, topics.All()...); err != nil {
			t.Fatal(err)
		}
		log := &deaf{Log: mem}
		ctx, cancel := context.WithCancel(t.Context())
		var e architecture.LogEnd
		e.Start(at(0, 0))
		ended := make(chan error)
		go func() { ended <- e.Watch(ctx, log, topics) }()
		for n, step := range []struct {
			deaf bool
			want int64
		}{{false, 1}, {true, 1}, {false, 3}} {
			if err := mem.Append(ctx, topics.Orders, eventlog.Record{Key: []byte("1"), Value: []byte("x")}); err != nil {
				t.Fatal(err)
			}
			log.now.Store(step.deaf)
			time.Sleep(1100 * time.Millisecond)
			synctest.Wait()
			if got := e.Records(); got != step.want {
				t.Errorf("after look %d the end is at %d records, want %d", n, got, step.want)
			}
		}
		if _, ready := reported(&e, at(0, 0)); !ready {
			t.Error("not ready at the end that was there at the start")
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("it ended with %v", err)
		}
	})
}
