package conformance

import (
	"strconv"

	"archbench/common/architecture"
	"archbench/common/event"
	"archbench/common/oracle/oracletest"
	"archbench/common/view"
)

func deadLetters(e *env) {
	w := e.world(3)
	i := w.start(nil)
	for _, v := range oracletest.UnusableOrders() {
		w.append([]oracletest.Record{{Key: []byte("7"), Value: v}, w.maker.Line()})
	}
	for _, v := range oracletest.UnusableProfiles() {
		w.append([]oracletest.Record{{Customers: true, Key: []byte("7"), Value: v}})
	}
	long := make([]byte, event.MaxValueBytes+1)
	for n := range long {
		long[n] = 'x'
	}
	w.append([]oracletest.Record{{Key: []byte("8"), Value: long}, w.maker.Line()})
	w.grow(30)
	w.finish(i)
	// A reprocess goes over all of them again while more come; none gets a second letter.
	for _, r := range []view.Rules{view.MerchandiseOnly, view.EveryLine} {
		if o, err := i.Reprocess(e.ctx, r); err != nil || o != architecture.Started {
			e.Fatalf("reprocess to rules %d: outcome %d, %v", r, o, err)
		}
		for range 25 {
			w.append([]oracletest.Record{w.maker.Unusable(), w.maker.Line(), w.maker.Unusable()})
		}
		if !i.serves(r, w.history().End()) {
			e.Fatalf("it ended during a reprocess: %v", i.err)
		}
		w.finish(i)
	}
	w.checkCounts(i)
	i.stop()
	w.checkDeadLetters(once)
	i = w.start(nil)
	w.finish(i)
	w.checkCounts(i)
	i.stop()
	w.checkDeadLetters(once)
}

// checkCounts holds what the status counts, at its own coverage, against the oracle.
func (w *world) checkCounts(i *instance) {
	w.e.Helper()
	s, h := i.Status(), w.history()
	count := h.Counts
	if w.e.subject.bounded() || w.e.lesser() {
		count = h.BoundedCounts
	}
	want, err := count(s.Coverage)
	if err != nil {
		w.e.Fatalf("%v", err)
	}
	if !w.e.subject.bounded() {
		want.Late = 0
	}
	if s.Unusable != want.Unusable || s.Duplicate != want.Duplicate || s.Conflicting != want.Conflict || s.Late != want.Late {
		w.e.Errorf("status counts unusable %d, duplicate %d, conflict %d, late %d; the oracle counts %+v (lateness %v)",
			s.Unusable, s.Duplicate, s.Conflicting, s.Late, want, w.lateness)
	}
}

// Where nothing crashed, an unusable record has one letter; a crash may repeat it.
const (
	once     = false
	repeated = true
)

// checkDeadLetters holds the queue against what was sent: each unusable record
// once, or at least once if it may be repeated, unchanged, and nothing else.
func (w *world) checkDeadLetters(mayRepeat bool) {
	w.e.Helper()
	type place struct {
		topic     string
		partition int
		offset    int64
	}
	want := map[place]oracletest.Placed{}
	d := event.NewDecoder()
	for _, r := range oracletest.Place(w.sent, w.partitions) {
		var l event.OrderLine
		var c event.ProfileChange
		switch {
		case r.Customers && d.Profile(r.Value, &c) != nil:
			want[place{w.topics.Customers, r.Partition, r.Offset}] = r
		case !r.Customers && d.Order(r.Value, &l) != nil:
			want[place{w.topics.Orders, r.Partition, r.Offset}] = r
		}
	}
	got := map[place]int{}
	for p := range w.partitions {
		_, end, err := w.log.Bounds(w.e.ctx, w.topics.DLQ, p)
		if err != nil {
			w.e.Fatalf("bounds of the dead-letter queue: %v", err)
		}
		for o := range end {
			r, err := w.log.Fetch(w.e.ctx, w.topics.DLQ, p, o)
			if err != nil {
				w.e.Fatalf("fetch from the dead-letter queue: %v", err)
			}
			h := map[string]string{}
			for _, header := range r.Headers {
				h[header.Key] = string(header.Value)
			}
			partition, err1 := strconv.Atoi(h["source-partition"])
			offset, err2 := strconv.ParseInt(h["source-offset"], 10, 64)
			at := place{h["source-topic"], partition, offset}
			source, ok := want[at]
			if err1 != nil || err2 != nil || !ok || h["error"] == "" {
				w.e.Errorf("a dead letter names %v, error %q: no such unusable record", at, h["error"])
				continue
			}
			if string(source.Key) != string(r.Key) || string(source.Value) != string(r.Value) {
				w.e.Errorf("dead letter %v was changed: key %q, %d bytes; sent was key %q, %d bytes", at, r.Key, len(r.Value), source.Key, len(source.Value))
			}
			got[at]++
		}
	}
	for at := range want {
		switch n := got[at]; {
		case n == 0:
			w.e.Errorf("unusable record %v is not in the dead-letter queue", at)
		case n > 1 && !mayRepeat:
			w.e.Errorf("unusable record %v is in the dead-letter queue %d times", at, n)
		}
	}
}
