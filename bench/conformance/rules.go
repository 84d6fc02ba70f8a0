package conformance

import (
	"context"
	"time"

	"archbench/common/architecture"
	"archbench/common/coverage"
	"archbench/common/view"
)

// change asks for rules until they are served, whatever was under way.
func (i *instance) change(r view.Rules) {
	i.e.Helper()
	ctx, cancel := context.WithTimeout(i.e.ctx, i.e.patience)
	defer cancel()
	for {
		before := i.Coverage().Latest()
		outcome, err := i.Reprocess(ctx, r)
		switch {
		case err != nil:
			i.e.Fatalf("reprocess to rules %d: %v", r, err)
		case outcome == architecture.Served:
			return
		case outcome == architecture.Started:
			if !i.serves(r, coverage.Coverage{Orders: before.Coverage.Orders, Customers: before.Coverage.Customers}) {
				i.e.Fatalf("it ended during a reprocess: %v", i.err)
			}
			return
		}
		select { // busy: another reprocess, resumed after the crash, comes to its end
		case <-time.After(5 * time.Millisecond):
		case <-i.done:
			i.e.Fatalf("it ended during a reprocess: %v", i.err)
		case <-ctx.Done():
			i.e.Fatalf("a reprocess stayed busy for %v: %+v", i.e.patience, i.Status())
		}
	}
}

func rulesBackAndForth(e *env) {
	for range e.rounds(2) {
		w := e.world(1 + e.rng.IntN(3))
		i := w.start(nil)
		stop, _ := i.read(1)
		w.grow(60)
		i.covers(w.history().End())
		for n, r := range []view.Rules{view.MerchandiseOnly, view.EveryLine, view.MerchandiseOnly, view.EveryLine} {
			if outcome, err := i.Reprocess(e.ctx, r); err != nil || outcome != architecture.Started {
				e.Fatalf("reprocess to rules %d: outcome %d, %v", r, outcome, err)
			}
			w.grow(25)
			if n == 2 { // a restart in the middle: the reprocess goes on by itself
				w.judge(stop())
				i.stop()
				i = w.start(nil)
				stop, _ = i.read(1)
			}
			w.grow(25)
			if !i.serves(r, w.history().End()) {
				e.Fatalf("it ended during a reprocess: %v", i.err)
			}
			w.finish(i)
		}
		w.judge(stop())
		i.stop()
		i = w.start(nil) // the rules that were switched to are durable
		if got := i.ask(view.Query{View: view.TopProducts}).a.Rules; got != view.EveryLine {
			e.Errorf("after a restart rules %d are served, 1 were switched to", got)
		}
		w.finish(i)
		i.stop()
	}
}

func outcomes(e *env) {
	w := e.world(2)
	w.grow(50)
	i := w.start(nil)
	i.covers(w.history().End())
	if o, err := i.Reprocess(e.ctx, view.EveryLine); o != architecture.Served || err != nil {
		e.Errorf("asking for the rules that are served: outcome %d, %v", o, err)
	}
	if o, err := i.Reprocess(e.ctx, view.MerchandiseOnly); o != architecture.Started || err != nil {
		e.Errorf("asking for other rules: outcome %d, %v", o, err)
	}
	// It may be done already; if it runs, a second one is refused.
	if o, err := i.Reprocess(e.ctx, view.MerchandiseOnly); o != architecture.Busy && o != architecture.Served || err != nil {
		e.Errorf("asking again: outcome %d, %v", o, err)
	}
	if !i.serves(view.MerchandiseOnly, w.history().End()) {
		e.Fatalf("it ended during a reprocess: %v", i.err)
	}
	w.finish(i)
	if p := i.Status().Reprocess; p == nil || !p.Switched || p.Rules != view.MerchandiseOnly || p.Running {
		e.Errorf("status of a reprocess that has switched: %+v", p)
	}
	i.stop()
}
