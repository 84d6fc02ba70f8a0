package conformance

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"archbench/common/alerts"
	"archbench/common/architecture"
	"archbench/common/coverage"
	"archbench/common/event"
	"archbench/common/eventlog"
	"archbench/common/fault"
	"archbench/common/oracle"
	"archbench/common/oracle/oracletest"
	"archbench/common/view"
)

// alertTopic is what stands in topic alerts, as far as it was read.
type alertTopic struct {
	next coverage.Vector // by partition of alerts
	got  map[alerts.Identity]alerts.Alert
	said int // records; those beyond got are repeated
}

// readAlerts reads on to the present end of topic alerts. A record that is no alert,
// has the wrong key or says otherwise than an earlier one of its identity is an error.
func (w *world) readAlerts() {
	w.e.Helper()
	t := &w.alerted
	if t.got == nil {
		*t = alertTopic{next: make(coverage.Vector, w.partitions), got: map[alerts.Identity]alerts.Alert{}}
	}
	for p := range w.partitions {
		written, next, err := alerts.Read(w.e.ctx, w.log, w.topics.Alerts, p, t.next[p])
		if err != nil {
			w.e.Fatalf("read %s: %v", w.topics.Alerts, err)
		}
		t.next[p] = next
		for _, a := range written {
			w.takeAlert(p, a)
		}
	}
}

func (w *world) takeAlert(partition int, written alerts.Written) {
	w.e.Helper()
	t, a := &w.alerted, written.Alert
	if written.Unreadable != nil {
		w.e.Errorf("record %d/%d of topic alerts: %v", partition, written.Offset, written.Unreadable)
		return
	}
	if at := eventlog.Partition(fmt.Append(nil, a.CustomerID), w.partitions); at != partition {
		w.e.Errorf("alert %+v stands in partition %d: its key is not the customer, which belongs into %d", a, partition, at)
	}
	if a.DetectedUS > time.Now().UnixMicro() || a.DetectedUS < w.began.UnixMicro() {
		w.e.Errorf("alert %+v was detected at no time of this test", a)
	}
	t.said++
	before, again := t.got[a.Identity()]
	if a.DetectedUS = 0; again && before != a && !w.e.lesser() {
		w.e.Errorf("two alerts of one identity differ: %+v and %+v", before, a)
	}
	t.got[a.Identity()] = a
}

// owedAlerts are those that the reigns of an instance owe for what it covers.
func (w *world) owedAlerts(reigns []architecture.Reign, at coverage.Coverage) map[alerts.Identity]alerts.Alert {
	w.e.Helper()
	h := w.history()
	judge := h.Alerts
	if w.e.subject.bounded() {
		judge = h.BoundedAlerts
	}
	owed := map[alerts.Identity]alerts.Alert{}
	for n, reign := range reigns {
		to := at
		if n+1 < len(reigns) {
			to = reigns[n+1].From
		}
		if !to.AtLeast(reign.From) {
			w.e.Fatalf("rules %d are served from %s on and end at %s: %+v", reign.Rules, reign.From, to, reigns)
		}
		found, err := judge(reign.From, to, reign.Rules, w.params)
		if err != nil {
			w.e.Fatalf("%v", err)
		}
		for _, f := range found {
			a := alertOf(reign.Rules, f)
			owed[a.Identity()] = a
		}
	}
	return owed
}

func alertOf(r view.Rules, f oracle.Alert) alerts.Alert {
	return alerts.Alert{Version: 1, Rules: r, WindowStart: f.WindowStart, CustomerID: f.CustomerID, GrossMilli: f.GrossMilli, OrdersPartition: f.Partition, OrdersOffset: f.Offset}
}

// checkAlerts waits until the topic holds the alerts that are owed for everything
// sent, which the instance covers, and demands that it holds no others. It returns
// how many are owed. A lesser guarantee owes nothing that could be told apart from
// what it may lose and repeat.
func (w *world) checkAlerts(i *instance) int {
	w.e.Helper()
	if w.e.lesser() {
		return 0
	}
	s := i.Status()
	if n := len(s.Reigns); n == 0 || s.Reigns[n-1].Rules != s.Rules || !s.Coverage.AtLeast(s.Reigns[n-1].From) {
		w.e.Fatalf("status names the reigns %+v; rules %d are served at %s", s.Reigns, s.Rules, s.Coverage)
	}
	owed := w.owedAlerts(s.Reigns, w.history().End())
	missing := 0
	for end := time.Now().Add(w.e.patience / 4); ; time.Sleep(5 * time.Millisecond) {
		w.readAlerts()
		missing = 0
		for id := range owed {
			if _, there := w.alerted.got[id]; !there {
				missing++
			}
		}
		if missing == 0 || time.Now().After(end) {
			break
		}
	}
	for id, want := range owed {
		if got, there := w.alerted.got[id]; there && got != want {
			w.e.Errorf("alert %+v, want %+v", got, want)
		}
	}
	extra := 0
	for id, a := range w.alerted.got {
		if _, due := owed[id]; !due {
			if extra++; extra <= 3 {
				w.e.Errorf("alert %+v is owed by no reign of %+v", a, s.Reigns)
			}
		}
	}
	if missing+extra > 0 {
		w.e.Errorf("of %d alerts %d are missing and %d are extra (reigns %+v, counts %+v, lateness %v, params %+v)", len(owed), missing, extra, s.Reigns, s.Alerts, w.lateness, w.params)
	}
	return len(owed)
}

// spender is a sale that brings a customer of its own to any threshold at once. It has
// a country of its own too: there may be so many that two share a register of a sketch,
// which would count them as one.
func (w *world) spender() oracletest.Record {
	r := w.maker.Line()
	var l event.OrderLine
	if err := event.NewDecoder().Order(r.Value, &l); err != nil {
		w.e.Fatalf("%v", err)
	}
	w.spenders++
	l.Kind, l.CustomerID, l.StockCode, l.Quantity, l.UnitPriceMilli = event.Sale, int64(1000+w.spenders), "22423", 1, 3_000_000
	l.Country = fmt.Sprint("country of ", l.CustomerID)
	l.EventTimeMS = w.maker.Clock() // never late
	return oracletest.Record{Key: event.AppendKey(nil, &l), Value: event.AppendOrder(nil, &l)}
}

// alertsOfEveryReign lets rules change while lines come, among them duplicates and
// late ones, and restarts: every reign has its alerts and no others.
func alertsOfEveryReign(e *env) {
	owed := 0
	for range e.rounds(4) {
		w := e.world(1 + e.rng.IntN(3))
		i := w.start(nil)
		for _, r := range []view.Rules{view.MerchandiseOnly, view.EveryLine, view.MerchandiseOnly} {
			w.grow(40)
			w.append([]oracletest.Record{w.spender()})
			w.finish(i)
			if e.rng.IntN(2) == 0 {
				i.stop()
				i = w.start(nil)
			}
			w.changeUnderLoad(i, r)
		}
		w.grow(40)
		w.append([]oracletest.Record{w.spender()})
		w.finish(i)
		owed += w.checkAlerts(i)
		if reigns := i.Status().Reigns; len(reigns) != 4 {
			e.Errorf("after three changes of rules the status names %d reigns: %+v", len(reigns), reigns)
		}
		i.stop()
	}
	if owed == 0 {
		e.Errorf("no alert was owed: nothing was tried")
	}
}

// changeUnderLoad asks for rules and goes on sending until they are served. The
// reign must begin between what was covered when it was asked for and what was
// announced with the new rules.
func (w *world) changeUnderLoad(i *instance, r view.Rules) {
	e := w.e
	e.Helper()
	before := i.Coverage().Latest().Coverage
	if o, err := i.Reprocess(e.ctx, r); err != nil || o != architecture.Started {
		e.Fatalf("reprocess to rules %d: outcome %d, %v", r, o, err)
	}
	served := make(chan bool, 1)
	go func() { served <- i.serves(r, before) }()
	for n := 0; ; n++ {
		w.append([]oracletest.Record{w.spender(), w.maker.Next(), w.maker.Line()})
		select {
		case ok := <-served:
			if !ok {
				e.Fatalf("it ended during a reprocess: %v", i.err)
			}
			s := i.Status()
			if from := s.Reigns[len(s.Reigns)-1].From; !from.AtLeast(before) || !s.Coverage.AtLeast(from) {
				e.Errorf("rules %d are said to be served from %s on: they were asked for at %s, and are served at %s", r, from, before, s.Coverage)
			}
			return
		case <-time.After(3 * time.Millisecond):
		}
	}
}

// failing is a log that fails to write to one topic as long as it is told to.
type failing struct {
	eventlog.Log
	topic  string
	fails  atomic.Bool
	failed atomic.Int64
}

func (f *failing) Append(ctx context.Context, topic string, records ...eventlog.Record) error {
	if topic == f.topic && f.fails.Load() {
		f.failed.Add(1)
		return errors.New("the topic cannot be written")
	}
	return f.Log.Append(ctx, topic, records...)
}

// alertsOutlastTheirTopic lets writing to topic alerts fail. Everything else goes on;
// what was raised meanwhile comes when the topic is back, and after a stop too, which
// comes before.
func alertsOutlastTheirTopic(e *env) {
	w := e.world(2)
	topic := &failing{Log: w.log, topic: w.topics.Alerts}
	w.through = topic
	i := w.start(nil)
	raise := func() {
		w.grow(20)
		w.append([]oracletest.Record{w.spender(), w.spender()})
		if !i.covers(w.history().End()) || !i.settles() {
			e.Fatalf("it ended while alerts could not be written: %v", i.err)
		}
	}
	raise()
	w.checkAlerts(i)
	for _, restart := range []bool{false, true} {
		had := len(w.alerted.got)
		failed := topic.failed.Load()
		topic.fails.Store(true)
		raise()
		w.changeUnderLoad(i, 3-i.Status().Rules) // a reprocess comes to its end too
		raise()
		w.readAlerts()
		if len(w.alerted.got) != had || topic.failed.Load() == failed || i.Status().Alerts.Waiting == 0 {
			e.Errorf("alerts were written while writing failed: %d, then %d, with %d failures, counts %+v", had, len(w.alerted.got), topic.failed.Load()-failed, i.Status().Alerts)
		}
		if restart {
			i.stop()
			i = w.start(nil)
			if !i.covers(w.history().End()) {
				e.Fatalf("it ended after a restart: %v", i.err)
			}
		}
		topic.fails.Store(false)
		if w.checkAlerts(i) == had && !e.lesser() {
			e.Errorf("no alert was owed while writing failed: nothing was tried")
		}
	}
	i.stop()
}

// alertsOfCrashedReprocess kills the subject around a switch of rules while lines
// come, with the topic of alerts away until then, so that what was raised and not
// written must come from what is durable.
func alertsOfCrashedReprocess(e *env) {
	for _, point := range e.subject.AroundSwitch {
		w := e.world(2)
		topic := &failing{Log: w.log, topic: w.topics.Alerts}
		w.through = topic
		faults := fault.NewSet()
		i := w.start(faults)
		w.grow(40)
		w.finish(i)
		topic.fails.Store(true)
		faults.CrashAt(point, 1)
		if _, err := i.Reprocess(e.ctx, view.MerchandiseOnly); err != nil && !errors.Is(err, fault.ErrCrash) && !i.crashed() {
			e.Fatalf("reprocess: %v", err)
		}
		for n := 0; !i.ended() && n < 10_000; n++ {
			w.append([]oracletest.Record{w.spender(), w.maker.Next()})
			time.Sleep(2 * time.Millisecond)
		}
		if err := i.wait(); !errors.Is(err, fault.ErrCrash) {
			e.Fatalf("it ended with %v, want a crash at %s", err, point)
		}
		topic.fails.Store(false)
		i = w.start(nil)
		w.append([]oracletest.Record{w.spender(), w.maker.Next()})
		w.finish(i)
		i.change(view.MerchandiseOnly)
		w.append([]oracletest.Record{w.spender(), w.maker.Next()})
		w.finish(i)
		i.stop()
		if e.Failed() {
			e.Fatalf("after a crash at %s", point)
		}
	}
}

// ended reports whether Run has returned.
func (i *instance) ended() bool {
	select {
	case <-i.done:
		return true
	default:
		return false
	}
}
