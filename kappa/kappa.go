package kappa

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"archbench/common/alerts"
	"archbench/common/architecture"
	"archbench/common/coverage"
	"archbench/common/datadir"
	"archbench/common/eventlog"
	"archbench/common/fault"
	"archbench/common/intake"
	"archbench/common/stream"
	"archbench/common/view"
	"archbench/kappa/store"
)

// formatVersion is that of the data directory.
// Since 3 ids lie many to an entry, and the store knows the alerts that wait and
// from where on which rules were served.
const formatVersion = 3

// Crash points of its own; those of package intake come on top.
const (
	beforeCommit    = "kappa.before-commit"
	betweenCommits  = "kappa.between-commits"
	afterCommit     = "kappa.after-commit"
	afterRequest    = "kappa.after-reprocess-request"
	beforeSwitch    = "kappa.before-switch"
	afterSwitch     = "kappa.after-switch"
	afterCleanup    = "kappa.after-cleanup"
	bugCountTwice   = "count-duplicates"
	bugAnnounceLead = "announce-ahead"
	bugDropReturned = "drop-cancellations"

	bugCountLate    = "count-late"
	bugForgetMark   = "forget-watermark"
	bugForgetClosed = "forget-closed"
)

// CrashPoints lists the places where Kappa can be killed between two steps.
func CrashPoints(g architecture.Guarantee) []string {
	points := []string{intake.BeforeDeadLetter, intake.AfterDeadLetter, alerts.BeforeAlerts, alerts.AfterAlerts, beforeCommit, afterCommit, afterRequest, beforeSwitch, afterSwitch, afterCleanup}
	if g != architecture.EffectivelyOnce {
		points = append(points, betweenCommits)
	}
	return points
}

// Bugs lists the bugs that can be planted, to prove that the harness finds them.
func Bugs() []string {
	return []string{bugCountTwice, bugAnnounceLead, bugDropReturned, alerts.BugForget, alerts.BugShadow}
}

// BoundedBugs lists those that only show under policy bounded.
func BoundedBugs() []string { return []string{bugCountLate, bugForgetMark, bugForgetClosed} }

// Kappa implements architecture.Architecture.
type Kappa struct {
	c          architecture.Config
	dir        *datadir.Dir
	store      *store.Store
	announcer  *coverage.Announcer
	alerts     *alerts.Outbox
	served     atomic.Pointer[instance]
	commits    atomic.Int64
	durations  architecture.Durations
	watermarks *intake.Watermarks
	end        architecture.LogEnd
	turns      turns         // of all that a replay does
	pause      time.Duration // the longest for a switch, maxPause

	// By partition, shared by the served instance and a replay beside it.
	orderLetters, customerLetters []*intake.Letters

	announcing sync.Mutex // an announcement and the switch never mix

	requested chan struct{} // tells Run that a replay was asked for
	crashed   chan error    // a crash point passed outside Run

	// writing is held by whoever changes the store: for a commit, for a request, for a
	// switch with the time that the served instance stands still. It guards what follows.
	writing    sync.Mutex
	kept       uint64 // change of the alerts that the store has
	broken     error  // of a commit
	ended      bool   // Run is over; the store is closed
	generation uint32 // the last number given

	// mu guards what a status shows, which only a holder of writing changes, and the
	// switch of served with it. Nothing is waited for and nothing written under it.
	mu        sync.Mutex
	roles     store.Roles
	committed coverage.Coverage // of the served generation
	replay    *replay           // running; nil if none
	last      *architecture.Progress
}

// Open recovers the committed state.
func Open(ctx context.Context, c architecture.Config) (*Kappa, error) {
	c = c.WithDefaults()
	if err := errors.Join(architecture.CheckSemantics(c.Policy, c.Guarantee), architecture.CheckLateness(c.Lateness)); err != nil {
		return nil, err
	}
	identity := datadir.Identity{Architecture: "kappa", Topics: c.Topics, Params: c.Params, Policy: string(c.Policy), Guarantee: c.Guarantee}
	if c.Policy == architecture.Bounded {
		identity.Lateness = c.Lateness
	}
	dir, err := datadir.Open(c.Dir, formatVersion, identity, func() (int, error) {
		b, err := eventlog.Inputs(ctx, c.Log, c.Topics)
		return len(b.End.Orders), err
	})
	if err != nil {
		return nil, err
	}
	k := &Kappa{c: c, dir: dir, announcer: coverage.NewAnnouncer(), alerts: alerts.NewOutbox(c.Log, c.Topics.Alerts, c.Faults, c.Logger), watermarks: intake.NewWatermarks(dir.Partitions), turns: newTurns(), pause: maxPause, requested: make(chan struct{}, 1), crashed: make(chan error, 1)}
	if err := k.recover(); err != nil {
		return nil, errors.Join(err, k.close())
	}
	return k, nil
}

func (k *Kappa) bounded() bool { return k.c.Policy == architecture.Bounded }

// recover loads the generations that the store knows and drops what others left.
func (k *Kappa) recover() error {
	var err error
	if k.store, err = store.Open(filepath.Join(k.c.Dir, "state"), func(took time.Duration) { k.durations.Add(architecture.Compaction, took) }); err != nil {
		return err
	}
	roles, ok, err := k.store.Roles()
	if err != nil {
		return err
	}
	if !ok {
		roles = store.Roles{Served: store.Generation{Number: 1, Rules: k.c.Rules}, Reigns: architecture.FirstReign(k.c.Rules, k.dir.Partitions)}
		b := k.store.NewBatch()
		if err := errors.Join(b.SetRoles(roles), b.Commit()); err != nil {
			return err
		}
	}
	k.roles = roles
	waiting, err := k.store.Alerts()
	if err != nil {
		return err
	}
	k.alerts.Restore(waiting)
	served, err := k.load(roles.Served)
	if err != nil {
		return err
	}
	served.live.Store(true)
	k.served.Store(served)
	k.committed = served.position()
	for n := range k.dir.Partitions {
		k.orderLetters = append(k.orderLetters, intake.NewLetters(k.committed.Orders[n]))
		k.customerLetters = append(k.customerLetters, intake.NewLetters(k.committed.Customers[n]))
	}
	k.generation = roles.Served.Number
	if roles.Replay != nil {
		k.generation = max(k.generation, roles.Replay.Number)
		next, err := k.load(*roles.Replay)
		if err != nil {
			return err
		}
		k.replay = newReplay(next)
		k.requested <- struct{}{}
	}
	if err := k.dropOthers(); err != nil {
		return err
	}
	k.announcer.Announce(k.committed.Clone(), int(roles.Served.Rules))
	return nil
}

// dropOthers removes what a crash left of generations without a role.
func (k *Kappa) dropOthers() error {
	b := k.store.NewBatch()
	for n := uint32(1); n <= k.generation; n++ {
		if n != k.roles.Served.Number && (k.roles.Replay == nil || n != k.roles.Replay.Number) {
			if err := b.DropGeneration(n); err != nil {
				return errors.Join(err, b.Close())
			}
		}
	}
	if b.Empty() {
		return b.Close()
	}
	return b.Commit()
}

// close ends all writing, also by those who ask from outside Run.
func (k *Kappa) close() error {
	k.writing.Lock()
	k.ended = true
	k.writing.Unlock()
	var errs []error
	if k.store != nil {
		errs = append(errs, k.store.Close())
	}
	return errors.Join(append(errs, k.dir.Close())...)
}

// Run implements architecture.Architecture.
func (k *Kappa) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, k.close()) }()
	bounds, err := eventlog.Inputs(ctx, k.c.Log, k.c.Topics)
	if err != nil {
		return architecture.UnlessStopped(ctx, err)
	}
	served := k.served.Load()
	if err := bounds.Verify(k.c.Topics, served.position()); err != nil {
		return err
	}
	k.end.Start(bounds.End)

	g, gctx := architecture.NewGroup(ctx)
	f := followers{k, g, gctx}
	f.start(served)
	g.Go(func() error { return k.alerts.Run(gctx) })
	g.Go(func() error { return k.commitLoop(gctx) })
	g.Go(func() error { return k.replayLoop(gctx, f) })
	g.Go(func() error { return k.end.Watch(gctx, k.c.Log, k.c.Topics) })
	g.Go(func() error {
		return eventlog.WatchPartitions(gctx, k.c.Log, k.c.Topics, k.dir.Partitions, k.c.PartitionCheck, k.c.Logger)
	})
	g.Go(func() error {
		select {
		case err := <-k.crashed:
			return err
		case <-gctx.Done():
			return gctx.Err()
		}
	})
	if err := g.Wait("kappa"); err != nil {
		return err
	}
	return k.commit() // a clean stop keeps what was read
}

// followers reads instances in the group of one Run.
type followers struct {
	k     *Kappa
	group *architecture.Group
	ctx   context.Context
}

// start follows an instance until its stop is called or the group ends. What
// goes wrong with an instance that is not served is no reason to stop the rest.
func (f followers) start(in *instance) {
	ctx, stop := context.WithCancel(f.ctx)
	in.stop = stop
	f.group.Go(func() error {
		defer stop()
		err := f.k.follow(ctx, in)
		switch {
		case ctx.Err() != nil && f.ctx.Err() == nil:
			return nil // stopped: replaced or given up
		case in.live.Load() || errors.Is(err, fault.ErrCrash):
			return err
		}
		in.failed <- err
		return nil
	})
}

// follow reads both topics into an instance until the context ends.
func (k *Kappa) follow(ctx context.Context, in *instance) error {
	g, ctx := errgroup.WithContext(ctx)
	for n, p := range in.partitions {
		at := p.at()
		source := intake.Source{Log: k.c.Log, Topics: k.c.Topics, Partition: n, Faults: k.c.Faults, Chunk: replayChunk, Watermarks: k.watermarks,
			OrderLetters: k.orderLetters[n], CustomerLetters: k.customerLetters[n], Turn: k.turns.unlessLive(in)}
		g.Go(func() error {
			return source.FollowOrders(ctx, at.Orders, func(b intake.Orders) error {
				p.addOrders(in, b)
				if err := k.applied(ctx, in, n); err != nil {
					return err
				}
				return k.alerts.Room(ctx)
			})
		})
		g.Go(func() error {
			return source.FollowCustomers(ctx, at.Customers, func(b intake.Customers) error {
				p.addCustomers(in, b)
				return k.applied(ctx, in, n)
			})
		})
	}
	return g.Wait()
}

// applied announces what a served instance now includes.
func (k *Kappa) applied(ctx context.Context, in *instance, partition int) error {
	if !in.live.Load() {
		return ctx.Err()
	}
	k.announcing.Lock()
	defer k.announcing.Unlock()
	if in.live.Load() { // no longer, if the switch came between
		vector := in.position()
		if k.c.Faults.Bug(bugAnnounceLead) {
			vector.Orders[partition]++
		}
		k.announcer.Announce(vector, int(in.Rules))
	}
	return nil
}

// commitLoop commits what changed, at every interval.
func (k *Kappa) commitLoop(ctx context.Context) error {
	tick := time.NewTicker(k.c.CommitInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := k.commit(); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// commit writes the changes of all instances with a role, in one commit. After a
// failure it fails for ever: changes that were taken and not written must not be
// followed by a later position.
func (k *Kappa) commit() error {
	k.writing.Lock()
	defer k.writing.Unlock()
	return k.commitLocked()
}

// commitLocked is commit for those who hold writing.
func (k *Kappa) commitLocked() (err error) {
	if k.broken != nil {
		return k.broken
	}
	defer func() { k.broken = err }()
	if k.replay != nil { // what it has to write is far more than live traffic has
		done, err := k.turns.wait(context.Background())
		if err != nil {
			return err
		}
		defer done()
	}
	began := time.Now()
	c := k.newCommit()
	served, err := k.served.Load().write(c)
	if err != nil {
		return errors.Join(err, c.close())
	}
	written := []*instance{k.served.Load()}
	if k.replay != nil {
		written = append(written, k.replay.next)
		if _, err := k.replay.next.write(c); err != nil {
			return errors.Join(err, c.close())
		}
	}
	kept, err := k.writeAlerts(c, nil)
	if err != nil {
		return errors.Join(err, c.close())
	}
	if c.positions.Empty() && c.state.Empty() { // nothing changes without a position, but for the alerts
		return c.close()
	}
	if err := k.c.Faults.Point(beforeCommit); err != nil {
		return errors.Join(err, c.close())
	}
	if err := k.complete(c); err != nil {
		return err
	}
	for _, in := range written {
		in.forget()
	}
	k.kept = kept
	k.mu.Lock()
	k.committed = served
	k.mu.Unlock()
	k.commits.Add(1)
	k.durations.Since(architecture.Commit, began)
	return k.c.Faults.Point(afterCommit)
}

// writeAlerts puts the alerts that wait into the commit, and more that are raised
// when it is made. The lines that raised them were written before, so none of these
// is committed without its alert.
func (k *Kappa) writeAlerts(c commit, more []alerts.Alert) (change uint64, err error) {
	waiting, change := k.alerts.Waiting()
	if change == k.kept && len(more) == 0 {
		return change, nil
	}
	return change, c.state.SetAlerts(append(waiting, more...))
}

// Answer implements architecture.Architecture.
func (k *Kappa) Answer(_ context.Context, q view.Query) (architecture.Answer, error) {
	for {
		in := k.served.Load()
		a := architecture.Answer{View: q.View, Rules: in.Rules}
		var err error
		a.Rows, err = stream.Latest(k.c.Params, q, func(q view.Query) ([]view.Row, stream.Times, error) {
			c := in.cut(q)
			a.Coverage = c.at
			if err := k.addClosed(in, q, c); err != nil {
				return nil, stream.Times{}, err
			}
			return stream.Finish(k.c.Params, q, c.of...), c.times, nil
		})
		if !errors.Is(err, errReplaced) {
			return a, err
		}
	}
}

// errReplaced means that an instance is no longer served, and its rows may be gone.
var errReplaced = errors.New("the instance was replaced")

// addClosed adds to the cuts what the instance has let go of in memory. Rows that
// were closed when a cut was made are in the store by then, and never change.
func (k *Kappa) addClosed(in *instance, q view.Query, c cuts) (err error) {
	if !k.bounded() || k.c.Faults.Bug(bugForgetClosed) {
		return nil
	}
	s, err := k.store.Snapshot()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if k.served.Load() != in { // only after this are its rows removed
		return errReplaced
	}
	kind := q.View.BoundedPartial()
	for n, cut := range c.of {
		from, to := c.closed[n].Span(q)
		if from >= to {
			continue
		}
		err := s.Rows(in.Number, n, kind, from, to, func(r view.Row) {
			if c.closed[n].Holds(kind, &r) {
				cut.Add(r)
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Coverage implements architecture.Architecture.
func (k *Kappa) Coverage() *coverage.Announcer { return k.announcer }

// Status implements architecture.Architecture.
func (k *Kappa) Status() architecture.Status {
	k.mu.Lock() // no switch comes between
	defer k.mu.Unlock()
	in := k.served.Load()
	s := architecture.Status{Architecture: "kappa", Rules: in.Rules, Policy: k.c.Policy, Guarantee: k.c.Guarantee, Coverage: in.position(),
		Commits: k.commits.Load(), CrashPoints: CrashPoints(k.c.Guarantee), Bugs: append(Bugs(), BoundedBugs()...), State: map[string]int64{},
		Alerts: k.alerts.Counts(), WatermarksMS: k.watermarks.MS(), Durations: k.durations.Snapshot(architecture.Commit, architecture.Compaction)}
	for _, p := range in.partitions {
		p.report(&s)
	}
	s.Committed, s.Reigns = k.committed.Clone(), k.roles.Reigns
	k.end.Report(&s)
	if k.replay != nil {
		s.Reprocess = k.replay.progress(k.end.Records())
	} else if k.last != nil {
		p := *k.last
		s.Reprocess = &p
	}
	return s
}
