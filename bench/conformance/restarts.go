package conformance

import (
	"errors"

	"archbench/common/architecture"
	"archbench/common/oracle/oracletest"
	"archbench/common/view"
)

func rightAfterRestart(e *env) {
	for range e.rounds(4) {
		w := e.world(1 + e.rng.IntN(4))
		for range 5 {
			i := w.start(nil)
			w.judge(i.askAll(e.rng, 3)) // the committed state, before anything new is read
			w.grow(e.rng.IntN(80))
			end := w.history().End()
			i.covers(oracletest.Prefix(e.rng, end))
			w.judge(i.askAll(e.rng, 3))
			i.stop()
		}
		i := w.start(nil)
		w.finish(i)
		i.stop()
	}
}

// stops proves that a stop which comes while the log is still being asked is no
// failure, and that an architecture refuses what it can no longer do.
func stops(e *env) {
	w := e.world(2)
	w.grow(20)
	for range 3 {
		i := w.start(nil)
		i.stop()
		if o, err := i.Reprocess(e.ctx, view.MerchandiseOnly); !errors.Is(err, architecture.ErrEnded) {
			e.Errorf("asking for other rules after a stop: outcome %d, %v", o, err)
		}
	}
	i := w.start(nil)
	w.finish(i)
	i.stop()
}
