package scenario

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"archbench/bench/ledger"
	"archbench/bench/load"
	"archbench/bench/readers"
	"archbench/common/architecture"
	"archbench/common/view"
)

// traffic runs the scenario and leaves what was observed, and raw files.
func (t *trial) traffic(ctx context.Context) (err error) {
	t.show("%s: sending the history", t.label)
	if err = t.onAllProcessors(func() (err error) {
		t.m.Load.History, err = t.loader.History(ctx, t.history)
		return err
	}); err != nil {
		return err
	}
	spool, err := readers.NewSpool(filepath.Join(t.dir, "answers.zst"))
	if err != nil {
		return err
	}
	err = t.withEngine(ctx, spool)
	if closing := spool.Close(); closing != nil {
		return closing // without the answers there is nothing to judge
	}
	return err
}

// withEngine starts the architecture, runs the scenario and stops it again.
func (t *trial) withEngine(ctx context.Context, spool *readers.Spool) (err error) {
	if t.engine, err = t.start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.engine.end()) }()
	switch t.scenario {
	case Steady:
		err = t.steady(ctx, spool)
	case Backfill:
		err = t.backfill(ctx, spool)
	case Reprocess:
		err = t.reprocess(ctx, spool)
	}
	if err != nil {
		return err
	}
	if err := t.dump(ctx); err != nil {
		return err
	}
	t.seen.whole = true
	return t.engine.alertsSettle(ctx)
}

// read starts the readers; the function returned ends them.
func (t *trial) read(ctx context.Context, start time.Time, spool *readers.Spool) (stop func()) {
	rctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	plan := t.questions()
	go func() {
		defer close(done)
		t.seen.asked = readers.Run(rctx, t.engine.client, plan, start, t.clock, spool)
	}()
	return func() {
		cancel()
		<-done
	}
}

func (t *trial) questions() readers.Plan {
	return readers.Plan{PerSecond: t.ReadsPerS, Seed: t.Seed, EarliestMS: t.loader.EarliestMS, LatestMS: t.loader.LatestMS, Params: t.Params}
}

// during runs something beside the live part; the function returned waits for it.
func during(f func() error) (wait func() error) {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return func() error { return <-done }
}

// steady sends at a constant rate over a history; the window begins after the warm-up.
func (t *trial) steady(ctx context.Context, spool *readers.Spool) error {
	if err := t.engine.caughtUp(ctx, "covering the history"); err != nil {
		return err
	}
	start := time.Now()
	from := start.Add(t.warmUp)
	length := min(t.duration, time.Duration(float64(t.events)/t.rate*float64(time.Second))-t.warmUp) // shorter where the source ends before
	to := from.Add(max(0, length))
	t.seen.window = &ledger.Window{FromUS: t.clock.US(from), ToUS: t.clock.US(to)}
	stop := t.read(ctx, from, spool)
	defer stop()
	marked := during(func() (err error) {
		if t.seen.before, err = t.engine.mark(ctx, from); err != nil {
			return err
		}
		t.seen.after, err = t.engine.mark(ctx, to)
		return err
	})
	err := t.live(ctx, start)
	broken := marked()
	stop()
	if err := errors.Join(err, broken); err != nil {
		return err
	}
	return t.engine.caughtUp(ctx, "covering the live events")
}

// live sends the live part, and shows how it goes.
func (t *trial) live(ctx context.Context, start time.Time) error {
	showing, stop := context.WithCancel(ctx)
	shown := during(func() error {
		for pause(showing, sampleEvery) == nil {
			a, _ := t.engine.latest()
			t.show("%s: %.0f s of %.0f s, %d events sent, %d covered", t.label, time.Since(start).Seconds(), float64(t.events)/t.rate, t.loader.Count(), a.Coverage.Sum())
		}
		return nil
	})
	began, used := time.Now(), cpuSeconds()
	live, err := t.loader.Live(ctx, start, t.rate, t.events)
	t.m.Load.HarnessCores = (cpuSeconds() - used) / time.Since(began).Seconds()
	stop()
	shown()
	t.seen.live = live
	return err
}

// backfill starts the architecture on a log that is complete.
func (t *trial) backfill(ctx context.Context, spool *readers.Spool) error {
	stop := t.read(ctx, time.Now(), spool)
	err := t.engine.caughtUp(ctx, "covering the log")
	stop()
	if err != nil {
		return err
	}
	t.seen.after, err = t.engine.mark(ctx, time.Now())
	return err
}

// reprocess posts new rules a third into the live part. It ends when they are
// served and everything is covered.
func (t *trial) reprocess(ctx context.Context, spool *readers.Spool) error {
	if err := t.engine.caughtUp(ctx, "covering the history"); err != nil {
		return err
	}
	start := time.Now()
	stop := t.read(ctx, start, spool)
	defer stop()
	posted := during(func() error {
		if err := t.post(ctx, start.Add(time.Duration(float64(t.events)/t.rate/3*float64(time.Second)))); err != nil {
			return err
		}
		return t.switched(ctx)
	})
	err := t.live(ctx, start)
	failed := posted()
	if err := errors.Join(err, failed); err != nil {
		return err
	}
	t.seen.window = liveWindow(t.seen.live)
	err = t.engine.caughtUp(ctx, "covering the live events")
	stop()
	if err != nil {
		return err
	}
	t.seen.after, err = t.engine.mark(ctx, time.Now())
	return err
}

func liveWindow(l *load.Live) *ledger.Window {
	return &ledger.Window{FromUS: l.StartUS, ToUS: l.EndUS()}
}

// newRules are what reprocess changes to.
const newRules = view.MerchandiseOnly

func isSwitched(a ledger.Announced) bool { return a.Rules == int(newRules) }

// post asks for the new rules at a moment.
func (t *trial) post(ctx context.Context, at time.Time) (err error) {
	if t.seen.before, err = t.engine.mark(ctx, at); err != nil {
		return err
	}
	if t.engine.process != nil {
		if err := t.engine.process.ForgetPeak(); err != nil {
			return broke("%w", err)
		}
	}
	t.seen.requested = time.Now()
	outcome, err := t.engine.client.Reprocess(ctx, newRules)
	switch {
	case err != nil && ctx.Err() == nil:
		return broke("ask for rules %d: %w", newRules, err)
	case err != nil:
		return err
	case outcome != architecture.Started:
		return broke("asked for rules %d, the reprocess did not start: outcome %d", newRules, outcome)
	}
	return nil
}

// switched waits for the switch, and marks what it took.
func (t *trial) switched(ctx context.Context) (err error) {
	if err := t.engine.await(ctx, "replaying under the new rules", isSwitched, func(ledger.Announced) {}); err != nil {
		return errors.Join(err, t.progressOfReprocess(ctx))
	}
	t.seen.atSwitch, err = t.engine.mark(ctx, time.Now())
	return err
}

// progressOfReprocess adds what the architecture says to a reprocess that did not end.
func (t *trial) progressOfReprocess(ctx context.Context) error {
	s, err := t.engine.client.Status(ctx)
	if err != nil || s.Reprocess == nil {
		return nil // the failure at hand says more
	}
	return fmt.Errorf("it says: %d of %d records replayed, failure %q", s.Reprocess.Done, s.Reprocess.Total, s.Reprocess.Failed)
}
