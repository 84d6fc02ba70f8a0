package conformance

import (
	"errors"
	"time"

	"archbench/common/coverage"
	"archbench/common/fault"
	"archbench/common/view"
)

// rightAfterCrash kills the subject at each of its crash points, at the first
// passage and at a later one, under ingest and a reprocess.
func rightAfterCrash(e *env) {
	points := e.subject.CrashPoints(e.subject.Guarantee)
	if e.lesser() { // effectively-once visits all of them
		e.rng.Shuffle(len(points), func(i, j int) { points[i], points[j] = points[j], points[i] })
		points = points[:min(len(points), 2)]
	}
	for _, point := range points {
		for _, nth := range []int{1, 2 + e.rng.IntN(3)} {
			if nth > 1 && (e.backend.Shared || e.lesser() || e.Failed()) {
				break
			}
			crashAt(e, point, nth)
		}
	}
}

func crashAt(e *env, point string, nth int) {
	w := e.world(2)
	if e.lesser() {
		w.lateness = neverLate
	}
	faults := fault.NewSet()
	faults.CrashAt(point, nth)
	crashed := false
	var last coverage.Coverage
	rules := view.EveryLine
	// Ingest and reprocess in turn until the point is reached; a restart in the
	// middle reaches those that only recovery passes.
	turns := 8
	if nth > 1 { // a later passage is a bonus; the first one is owed
		turns = 3
	}
	for turn := 0; turn < turns && !crashed; turn++ {
		i, err := w.tryStart(faults)
		if errors.Is(err, fault.ErrCrash) {
			crashed = true
			break
		}
		if err != nil {
			e.Fatalf("open: %v", err)
		}
		w.append(append(w.maker.Make(30), w.maker.Unusable(), w.spender()))
		running := i.covers(w.history().End())
		if running && turn%2 == 0 {
			rules = 3 - rules
			if _, err := i.Reprocess(e.ctx, rules); err != nil && !errors.Is(err, fault.ErrCrash) && !i.crashed() {
				e.Fatalf("reprocess: %v", err)
			}
			w.grow(30)
			running = i.serves(rules, w.history().End())
		}
		for n := 0; running && n < 4; n++ {
			w.grow(10)
			running = i.covers(w.history().End())
			if running && n == 2 {
				running = i.settles()
			}
		}
		last = i.Coverage().Latest().Coverage
		if running {
			i.cancel()
		}
		if err := i.wait(); errors.Is(err, fault.ErrCrash) {
			crashed = true
		} else if err != nil {
			e.Fatalf("crash point %s: Run returned %v", point, err)
		}
	}
	if !crashed {
		if nth == 1 {
			e.Errorf("crash point %s was never reached (passed %d times)", point, faults.Passed(point))
		}
		return // a point that is passed once in a life cannot be reached a second time
	}
	i := w.start(nil)
	w.judgeCrashed(i.askAll(e.rng, 5))
	w.grow(20)
	w.finishCrashed(i)
	w.checkDeadLetters(repeated)
	// The crashed process may have been on its way to other rules; they must come or stay away, never mix.
	for _, r := range []view.Rules{view.MerchandiseOnly, view.EveryLine} {
		i.change(r)
		w.finishCrashed(i)
	}
	i.stop()
	if e.Failed() {
		e.Logf("after a crash at %s, passage %d, coverage then %s", point, nth, last)
	}
}

// crashed reports whether Run ended by a planted crash just now: what is asked of
// the instance then may fail in any way.
func (i *instance) crashed() bool {
	select {
	case <-i.done:
		return errors.Is(i.err, fault.ErrCrash)
	case <-time.After(time.Second):
		return false
	}
}

// settles waits until what is covered is committed too, so that the points behind a commit are passed.
func (i *instance) settles() bool {
	end := time.Now().Add(i.e.patience)
	for time.Now().Before(end) {
		select {
		case <-i.done:
			return false
		case <-time.After(5 * time.Millisecond):
		}
		s := i.Status()
		if s.Committed.AtLeast(s.Coverage) {
			return true
		}
	}
	i.e.Fatalf("what is covered was not committed within %v: %+v", i.e.patience, i.Status())
	return false
}
