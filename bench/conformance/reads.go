package conformance

import (
	"context"
	"time"

	"archbench/common/coverage"
	"archbench/common/view"
)

func rightDuringIngest(e *env) {
	for range e.rounds(4) {
		w := e.world(1 + e.rng.IntN(4))
		i := w.start(nil)
		stop, answered := i.read(2)
		end := time.Now().Add(e.patience)
		for n := 0; n < 15 || answered() < 5 && time.Now().Before(end); n++ {
			w.grow(1 + e.rng.IntN(60))
			if n >= 15 || e.rng.IntN(3) == 0 {
				i.covers(w.history().End())
			}
		}
		w.finish(i)
		answers := stop()
		if len(answers) < 5 {
			e.Errorf("only %d answers during ingest: the readers starved", len(answers))
		}
		w.judge(answers)
		i.stop()
	}
}

func coverageNotAhead(e *env) {
	w := e.world(3)
	i := w.start(nil)
	at := i.Coverage().Latest()
	for range 20 {
		w.grow(1 + e.rng.IntN(20))
		end := w.history().End()
		ctx, cancel := context.WithTimeout(e.ctx, e.patience)
		next, err := i.Coverage().Next(ctx, at.Version)
		cancel()
		if err != nil {
			e.Fatalf("no announcement: %v", err)
		}
		if at.Version > 0 && !next.Coverage.AtLeast(at.Coverage) {
			e.Errorf("announced coverage fell from %s to %s", at.Coverage, next.Coverage)
		}
		if !end.AtLeast(next.Coverage) {
			e.Errorf("announced coverage %s is ahead of the log's end %s", next.Coverage, end)
		}
		x := i.ask(view.Query{View: view.Names()[e.rng.IntN(7)]})
		if !x.a.Coverage.AtLeast(next.Coverage) {
			e.Errorf("announced was %s, the answer covers %s only", next.Coverage, x.a.Coverage)
		}
		w.judge([]answered{x})
		at = next
	}
	w.finish(i)
	i.stop()
}

// seamAdvances asks at one seam after another, where a batch has just taken over
// what the speed layer had and where the two share an answer, and in between.
func seamAdvances(e *env) {
	if !e.subject.HasSeam {
		return
	}
	w := e.world(2)
	i := w.start(nil)
	stop, _ := i.read(2)
	for range 5 {
		w.grow(40)
		end := w.history().End()
		i.covers(end)
		i.seamReaches(end)
		w.judge(i.askAll(e.rng, 3)) // all of it from the batch layer
		w.grow(15)
		w.finish(i)
	}
	answers := stop()
	if len(answers) == 0 {
		e.Errorf("no answers while the seam advanced: the readers starved")
	}
	w.judge(answers)
	i.stop()
}

// seamReaches waits until the batch layer's part of an answer includes all of at.
func (i *instance) seamReaches(at coverage.Coverage) {
	i.e.Helper()
	for end := time.Now().Add(i.e.patience); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		seam := i.ask(view.Query{View: view.RevenueByCountry, Last: 1}).a.Seam
		if seam == nil {
			i.e.Fatalf("an answer names no seam")
		}
		if seam.AtLeast(at) {
			return
		}
	}
	i.e.Fatalf("the seam did not reach %s within %v: %+v", at, i.e.patience, i.Status())
}
