package kappa

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"archbench/common/architecture"
	"archbench/common/coverage"
	"archbench/common/eventlog"
	"archbench/common/fault"
	"archbench/common/view"
	"archbench/kappa/store"
)

// maxPause bounds how long the served instance may stand still for the switch.
const maxPause = time.Second

// replay is a second instance on its way to be served.
type replay struct {
	next  *instance
	began time.Time
}

func newReplay(next *instance) *replay { return &replay{next: next, began: time.Now()} }

func (r *replay) progress(total int64) *architecture.Progress {
	return &architecture.Progress{Rules: r.next.Rules, Running: true, Done: r.next.position().Sum(), Total: total, Seconds: time.Since(r.began).Seconds()}
}

// Reprocess implements architecture.Architecture.
func (k *Kappa) Reprocess(ctx context.Context, rules view.Rules) (architecture.Outcome, error) {
	bounds, err := eventlog.Inputs(ctx, k.c.Log, k.c.Topics)
	k.writing.Lock()
	defer k.writing.Unlock()
	switch {
	case k.ended:
		return 0, architecture.ErrEnded
	case k.replay != nil:
		return architecture.Busy, nil
	case k.roles.Served.Rules == rules:
		return architecture.Served, nil
	case err != nil:
		return 0, err
	}
	if err := bounds.Verify(k.c.Topics, coverage.Zero(k.dir.Partitions)); err != nil {
		return 0, explain(err)
	}
	k.generation++
	g := store.Generation{Number: k.generation, Rules: rules}
	roles := store.Roles{Served: k.roles.Served, Replay: &g, Reigns: k.roles.Reigns}
	if err := k.setRoles(roles); err != nil {
		return 0, err
	}
	if err := k.c.Faults.Point(afterRequest); err != nil {
		k.crashed <- err
		return 0, err
	}
	next, err := k.load(g)
	if err != nil {
		return 0, err
	}
	k.mu.Lock()
	k.replay = newReplay(next)
	k.mu.Unlock()
	k.requested <- struct{}{}
	return architecture.Started, nil
}

// explain says that the history is gone where the log's head is; other errors of
// a look at the log are what they are.
func explain(err error) error {
	var p *eventlog.PositionError
	if errors.As(err, &p) && p.Below() {
		return fmt.Errorf("%w: %w", architecture.ErrHistoryGone, err)
	}
	return err
}

// setRoles makes new roles durable and current.
func (k *Kappa) setRoles(r store.Roles) error {
	b := k.store.NewBatch()
	if err := b.SetRoles(r); err != nil {
		return errors.Join(err, b.Close())
	}
	if err := b.Commit(); err != nil {
		return err
	}
	k.mu.Lock()
	k.roles = r
	k.mu.Unlock()
	return nil
}

// replayLoop brings one replay after another to the switch.
func (k *Kappa) replayLoop(ctx context.Context, f followers) error {
	for {
		select {
		case <-k.requested:
		case <-ctx.Done():
			return ctx.Err()
		}
		k.mu.Lock()
		r := k.replay
		k.mu.Unlock()
		f.start(r.next)
		err := k.catchUp(ctx, r)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, fault.ErrCrash):
			return err
		case err != nil:
			k.c.Logger.Error("the reprocess failed; the old rules stay", "rules", r.next.Rules, "err", err)
			if err := k.giveUp(r, err); err != nil {
				return err
			}
		}
	}
}

// near is how many records a replay may lie behind when a switch is tried; they
// take far less than maxPause.
const near = 5000

// pauseAfter is how long the served instance goes on after a switch that failed:
// it stood still for maxPause, and must not do so most of the time.
const pauseAfter = 4 * maxPause

// catchUp waits until the replay is near the served instance and switches, but not
// before all is read that may have been served before a crash: lines that were, under
// the old rules, and raised alerts under them, are so never served under the new ones
// first.
func (k *Kappa) catchUp(ctx context.Context, r *replay) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	var notBefore time.Time
	for {
		select {
		case <-tick.C:
		case err := <-r.next.failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
		at := k.served.Load().position()
		if time.Now().Before(notBefore) || r.next.position().Missing(at) > near || !k.end.Passed(at) {
			continue
		}
		if switched, err := k.trySwitch(ctx, r); switched || err != nil {
			return err
		}
		notBefore = time.Now().Add(pauseAfter)
	}
}

// trySwitch stops the served instance for up to maxPause. If the replay reaches
// it in that time, one durable record makes the replay the served instance. All that
// can be written before is, and no commit is under way by then, so that live traffic
// stands still for some milliseconds and not for a commit of what a replay changes.
// Answers and the status go on meanwhile.
func (k *Kappa) trySwitch(ctx context.Context, r *replay) (switched bool, err error) {
	k.writing.Lock()
	defer k.writing.Unlock()
	if err := k.commitLocked(); err != nil {
		return false, err
	}
	old := k.served.Load()
	old.gate.Lock()
	defer old.gate.Unlock()
	stopped := time.Now()
	deadline := stopped.Add(k.pause)
	target := old.position()
	for !r.next.position().AtLeast(target) {
		select {
		case <-time.After(500 * time.Microsecond):
		case <-ctx.Done():
			return false, ctx.Err()
		}
		if time.Now().After(deadline) {
			return false, nil
		}
	}
	r.next.gate.Lock() // so that it is clear which lines it adds as the served one
	defer r.next.gate.Unlock()
	roles, committed, err := k.commitSwitch(r.next, target)
	if err != nil {
		k.broken = err        // the changes were taken
		old.live.Store(false) // the role may have been, so it must neither announce nor raise alerts any more
		return false, err
	}
	k.serve(r, roles, committed)
	k.c.Logger.Info("switched", "rules", r.next.Rules, "stood_still", time.Since(stopped))
	old.stop()
	return true, k.cleanUp(old.Number)
}

// serve puts a replay in the place of the served instance: for answers, for the
// status, and then for those who wait for the announcement.
func (k *Kappa) serve(r *replay, roles store.Roles, committed coverage.Coverage) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.announcing.Lock()
	defer k.announcing.Unlock()
	k.served.Load().live.Store(false)
	k.served.Store(r.next)
	r.next.live.Store(true)
	p := r.progress(k.end.Records())
	p.Running, p.Switched, p.Total = false, true, p.Done
	k.roles, k.committed, k.replay, k.last = roles, committed, nil, p
	k.announcer.Announce(r.next.position(), int(r.next.Rules))
}

// commitSwitch writes the new instance's changes and its role in one commit, the
// role with the last of it. It is served from this vector on, which the old one
// reached: alerts of later lines that it has read are raised now. It returns the
// roles, and the coverage, that are durable then.
func (k *Kappa) commitSwitch(next *instance, from coverage.Coverage) (roles store.Roles, at coverage.Coverage, err error) {
	c := k.newCommit()
	at, err = next.write(c)
	early := next.earlySince(from)
	kept, alertsErr := k.writeAlerts(c, early)
	roles = store.Roles{Served: next.Generation, Reigns: append(slices.Clone(k.roles.Reigns), architecture.Reign{Rules: next.Rules, From: from})}
	if err := errors.Join(err, alertsErr, c.last.SetRoles(roles)); err != nil {
		return roles, at, errors.Join(err, c.close())
	}
	if err := k.c.Faults.Point(beforeSwitch); err != nil {
		return roles, at, errors.Join(err, c.close())
	}
	if err := k.complete(c); err != nil {
		return roles, at, err
	}
	k.alerts.Add(early...)
	next.forget()
	k.kept = kept
	k.commits.Add(1)
	return roles, at, k.c.Faults.Point(afterSwitch)
}

// cleanUp removes a generation that has no role any more.
func (k *Kappa) cleanUp(generation uint32) error {
	b := k.store.NewBatch()
	if err := b.DropGeneration(generation); err != nil {
		return errors.Join(err, b.Close())
	}
	if err := b.Commit(); err != nil {
		return err
	}
	return k.c.Faults.Point(afterCleanup)
}

// giveUp drops a replay that cannot go on, and keeps why.
func (k *Kappa) giveUp(r *replay, why error) error {
	r.next.stop()
	k.writing.Lock()
	defer k.writing.Unlock()
	p := r.progress(k.end.Records())
	p.Running, p.Failed = false, why.Error()
	k.mu.Lock()
	k.replay, k.last = nil, p
	k.mu.Unlock()
	if err := k.setRoles(store.Roles{Served: k.roles.Served, Reigns: k.roles.Reigns}); err != nil {
		return err
	}
	return k.cleanUp(r.next.Number)
}
