package conformance

import (
	"errors"
	"strings"
	"time"

	"archbench/common/architecture"
	"archbench/common/eventlog"
	"archbench/common/oracle/oracletest"
	"archbench/common/view"
)

// refused opens and runs the subject and returns the error that one of them must give.
func (w *world) refused() error {
	w.e.Helper()
	i, err := w.tryStart(nil)
	if err != nil {
		return err
	}
	if err = i.wait(); err == nil {
		w.e.Fatalf("it ran to a clean end where it had to refuse")
	}
	return err
}

// ingested is a world that was covered, committed and stopped.
func ingested(e *env, partitions int) *world {
	w := e.world(partitions)
	w.append([]oracletest.Record{w.maker.Line(), w.maker.Profile()}) // none of the topics stays empty
	w.grow(60)
	i := w.start(nil)
	w.finish(i)
	i.stop()
	return w
}

// inputTopic is orders or customers.
func (w *world) inputTopic(customers bool) string {
	if customers {
		return w.topics.Customers
	}
	return w.topics.Orders
}

func headGone(e *env) {
	for _, customers := range []bool{false, true} {
		w := ingested(e, 1)
		topic, one := w.inputTopic(customers), w.maker.Line
		if customers {
			one = w.maker.Profile
		}
		w.append([]oracletest.Record{one(), one(), one()})
		_, end, err := w.log.Bounds(e.ctx, topic, 0)
		if err != nil {
			e.Fatalf("bounds: %v", err)
		}
		if err := w.admin.Truncate(e.ctx, topic, 0, end-1); err != nil {
			e.Fatalf("truncate: %v", err)
		}
		var p *eventlog.PositionError
		if err := w.refused(); !errors.As(err, &p) || !p.Below() || p.Topic != topic {
			e.Errorf("%s: got %v, want an error that names the position below the log's start", topic, err)
		}
	}
}

func tailGone(e *env) {
	for _, customers := range []bool{false, true} {
		w := ingested(e, 1)
		topic := w.inputTopic(customers)
		if err := w.admin.Delete(e.ctx, topic); err != nil {
			e.Fatalf("delete: %v", err)
		}
		w.create(topic, 1)
		var p *eventlog.PositionError
		if err := w.refused(); !errors.As(err, &p) || p.Below() || p.Topic != topic {
			e.Errorf("%s: got %v, want an error that names the position beyond the log's end", topic, err)
		}
	}
}

// create makes a topic anew; a broker may take a moment to forget the old one.
func (w *world) create(topic string, partitions int) {
	w.e.Helper()
	for end := time.Now().Add(w.e.patience); ; {
		err := w.admin.Create(w.e.ctx, partitions, topic)
		if err == nil {
			return
		}
		if !errors.Is(err, eventlog.ErrTopicExists) || time.Now().After(end) {
			w.e.Fatalf("create %s: %v", topic, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func partitionsChanged(e *env) {
	w := ingested(e, 2)
	for _, topic := range []string{w.topics.Orders, w.topics.Customers} {
		if err := w.admin.Delete(e.ctx, topic); err != nil {
			e.Fatalf("delete: %v", err)
		}
		w.create(topic, 3)
	}
	var p *eventlog.PartitionsChangedError
	if err := w.refused(); !errors.As(err, &p) || p.Was != 2 || p.Is != 3 {
		e.Errorf("got %v, want an error that names 2 partitions before and 3 now", err)
	}
}

// partitionsAdded adds them under a running instance, which must stop with a
// sentence, and must not begin again.
func partitionsAdded(e *env) {
	for _, customers := range []bool{false, true} {
		w := e.world(2)
		w.grow(60)
		i := w.start(nil)
		w.finish(i)
		topic := w.inputTopic(customers)
		if err := w.admin.AddPartitions(e.ctx, topic, 3); err != nil {
			e.Fatalf("add partitions: %v", err)
		}
		var p *eventlog.PartitionsChangedError
		if err := i.wait(); !errors.As(err, &p) || p.Topic != topic || p.Was != 2 || p.Is != 3 {
			e.Errorf("%s: it ended with %v, want an error that names 2 partitions before and 3 now", topic, err)
		}
		if err := w.refused(); !strings.Contains(err.Error(), "has 3") {
			e.Errorf("%s: on a restart got %v, want an error that names 3 partitions", topic, err)
		}
	}
}

func headGoneBelow(e *env) {
	w := ingested(e, 1)
	for _, customers := range []bool{false, true} {
		if err := w.admin.Truncate(e.ctx, w.inputTopic(customers), 0, 1); err != nil {
			e.Fatalf("truncate: %v", err)
		}
	}
	i := w.start(nil)
	w.grow(30)
	w.finish(i)
	o, err := i.Reprocess(e.ctx, view.MerchandiseOnly)
	switch {
	case e.subject.KeepsHistory && (err != nil || o != architecture.Started):
		e.Errorf("it keeps the history, but a reprocess gave outcome %d, %v", o, err)
	case e.subject.KeepsHistory:
		if !i.serves(view.MerchandiseOnly, w.history().End()) {
			e.Fatalf("it ended during a reprocess: %v", i.err)
		}
	case !errors.Is(err, architecture.ErrHistoryGone):
		e.Errorf("the replay needs offset 0, but a reprocess gave outcome %d, %v", o, err)
	}
	w.finish(i)
	i.stop()
}

func otherParameters(e *env) {
	w := ingested(e, 1)
	w.params.TopK++
	if i, err := w.tryStart(nil); err == nil {
		i.stop()
		e.Errorf("state built with other window parameters was taken over")
	}
}
