package unified

import (
	"errors"
	"testing"

	"archbench/common/architecture"
	"archbench/common/fault"
	"archbench/common/view"
	"archbench/workloads"
	"archbench/workloads/synthetic"
)

// Under at-least-once a crash leaves lines in silver that come again. New gold that
// is asked for meanwhile holds both of each, as the old one does.
func TestRebuildWaitsForWhatComesAgain(t *testing.T) {
	const kept, torn = 500, 700
	c := architecture.Config{Threads: 1, Policy: architecture.Bounded, Guarantee: architecture.AtLeastOnce, Faults: fault.NewSet()}
	f := newFeed(t, c)
	f.put(kept)
	f.batch()
	f.c.Faults.CrashAt(betweenCommits, 1)
	f.put(torn)
	if err := f.u.microBatch(t.Context()); !errors.Is(err, fault.ErrCrash) {
		t.Fatalf("the micro-batch ended with %v, want a crash", err)
	}
	f.again(kept)
	if s := f.u.Status(); s.Coverage.Sum() != kept || !s.Committed.Equal(s.Coverage) {
		t.Errorf("it goes on from %s, %d records were committed", s.Coverage, kept)
	}

	if o, err := f.u.Reprocess(t.Context(), view.MerchandiseOnly); o != architecture.Started || err != nil {
		t.Fatalf("outcome %d, %v", o, err)
	}
	<-f.u.wake
	f.u.rebuildDue = true
	f.put(torn / 2) // not all of it yet
	f.batch()
	f.u.startDueRebuild(t.Context())
	if f.u.rebuild != nil {
		t.Fatal("a rebuild began while silver held lines that were still to come again")
	}
	f.put(torn - torn/2)
	f.batch()
	f.u.startDueRebuild(t.Context())
	if f.u.rebuild == nil {
		t.Fatal("the rebuild did not begin")
	}
	if err := f.u.finishRebuild(t.Context(), f.prepared()); err != nil {
		t.Fatal(err)
	}
	if s := f.u.Status(); s.Rules != view.MerchandiseOnly || s.Coverage.Sum() != kept+torn {
		t.Errorf("rules %d at %s", s.Rules, s.Coverage)
	}
	if got, want := f.lines(), merchandise(t, 0, kept)+2*merchandise(t, kept, torn); got != want {
		t.Errorf("%d lines in the new gold, want %d: those of the crash twice", got, want)
	}
}

// merchandise counts the lines that rules 2 let count among the feed's events.
func merchandise(t *testing.T, skip, events int) (n int64) {
	t.Helper()
	source, err := synthetic.New(synthetic.DefaultParams())
	if err != nil {
		t.Fatal(err)
	}
	logic := view.MerchandiseOnly.Logic()
	var e workloads.Event
	for i := range skip + events {
		if err := source.Next(&e); err != nil {
			t.Fatal(err)
		}
		if _, counts := logic.Code(e.Line.StockCode); i >= skip && e.Topic == workloads.Orders && counts {
			n++
		}
	}
	return n
}

// again opens the directory anew, as after a crash, with the feed at so many events.
func (f *feed) again(events int) {
	f.t.Helper()
	f.stop()
	f.reopen()
	f.rewind(events)
}

// reopen opens the directory of an instance that was stopped.
func (f *feed) reopen() {
	f.t.Helper()
	u, err := Open(f.t.Context(), f.c)
	if err != nil {
		f.t.Fatal(err)
	}
	f.u, f.closed = u, false
}

// lines sums those of revenue_by_country.
func (f *feed) lines() (n int64) {
	f.t.Helper()
	for _, r := range f.rows(view.RevenueByCountry) {
		n += r.Num[1]
	}
	return n
}
