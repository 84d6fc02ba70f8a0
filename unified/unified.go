package unified

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"archbench/common/alerts"
	"archbench/common/architecture"
	"archbench/common/batch"
	"archbench/common/coverage"
	"archbench/common/datadir"
	"archbench/common/duck"
	"archbench/common/eventlog"
	"archbench/common/intake"
	"archbench/common/stream"
	"archbench/common/view"
	"archbench/unified/lake"
)

// formatVersion is that of the data directory. Since 2 data files have their sum
// in their name; since 3 the record says how far the tables reach; since 4 it holds
// the alerts that wait, and from where on which rules were served.
const formatVersion = 4

// Crash points of its own; those of package intake come on top.
const (
	afterBronze     = "unified.after-bronze"
	afterSilver     = "unified.after-silver"
	afterSomeGold   = "unified.after-some-gold"
	afterGold       = "unified.after-gold"
	afterPublish    = "unified.after-publish"
	betweenCommits  = "unified.between-commits"
	afterCompaction = "unified.after-compaction"
	afterExpire     = "unified.after-expire"
	afterRequest    = "unified.after-reprocess-request"
	afterRebuild    = "unified.after-rebuild"
	afterSwitch     = "unified.after-switch"

	bugCountTwice  = "count-duplicates"
	bugForgetBatch = "forget-a-batch"
)

// CrashPoints lists the places where Unified can be killed between two steps.
func CrashPoints(g architecture.Guarantee) []string {
	points := []string{intake.BeforeDeadLetter, intake.AfterDeadLetter, alerts.BeforeAlerts, alerts.AfterAlerts, afterBronze, afterSilver, afterSomeGold, afterGold, afterPublish,
		afterCompaction, afterExpire, afterRequest, afterRebuild, afterSwitch}
	if g != architecture.EffectivelyOnce {
		points = append(points, betweenCommits)
	}
	return points
}

// Bugs lists the bugs that can be planted, to prove that the harness finds them.
func Bugs() []string {
	return []string{bugCountTwice, bugForgetBatch, alerts.BugForget, alerts.BugShadow}
}

// Unified implements architecture.Architecture.
type Unified struct {
	c          architecture.Config
	dir        *datadir.Dir
	db         *duck.DB
	lake       *lake.Lake
	announcer  *coverage.Announcer
	alerts     *alerts.Outbox
	inbox      *inbox
	seen       []*stream.Seen // by partition
	commits    atomic.Int64
	durations  architecture.Durations
	watermarks *intake.Watermarks
	end        architecture.LogEnd

	// serving is held for reading while an answer begins, and for writing while a
	// published batch enters the tables that answers read.
	serving sync.RWMutex
	state   published
	ended   bool         // Run is over
	times   stream.Times // event times in silver; answers with last=N look through them

	// Only the loop touches them.
	rebuild    *rebuild // running; nil if none
	rebuildDue bool     // asked for, and not begun yet
	upkeep     upkeep

	mu        sync.Mutex // guards what follows, and state.Want
	committed coverage.Coverage
	reprocess *architecture.Progress
	requested time.Time
	wake      chan struct{}
	crashed   chan error // a crash point passed outside Run
}

// Open recovers the committed state.
func Open(ctx context.Context, c architecture.Config) (*Unified, error) {
	c = c.WithDefaults()
	if err := errors.Join(architecture.CheckSemantics(c.Policy, c.Guarantee), architecture.CheckLateness(c.Lateness)); err != nil {
		return nil, err
	}
	c.Policy = architecture.Exact // a micro-batch recomputes what a late line touches
	dir, err := datadir.Open(c.Dir, formatVersion, datadir.Identity{Architecture: "unified", Topics: c.Topics, Params: c.Params, Guarantee: c.Guarantee}, func() (int, error) {
		b, err := eventlog.Inputs(ctx, c.Log, c.Topics)
		return len(b.End.Orders), err
	})
	if err != nil {
		return nil, err
	}
	u := &Unified{c: c, dir: dir, announcer: coverage.NewAnnouncer(), alerts: alerts.NewOutbox(c.Log, c.Topics.Alerts, c.Faults, c.Logger), watermarks: intake.NewWatermarks(dir.Partitions), wake: make(chan struct{}, 1), crashed: make(chan error, 1), upkeep: upkeep{merged: map[view.Partial]int64{}}}
	if err := u.recover(ctx); err != nil {
		return nil, errors.Join(err, u.close())
	}
	return u, nil
}

// close ends all writing, also by those who ask from outside Run.
func (u *Unified) close() error {
	u.serving.Lock()
	u.ended = true
	u.serving.Unlock()
	var errs []error
	if u.lake != nil {
		errs = append(errs, u.lake.Close())
	}
	if u.db != nil {
		errs = append(errs, u.db.Close())
	}
	return errors.Join(append(errs, u.dir.Close())...)
}

// recover takes every table back to what was published and loads what answers
// read.
func (u *Unified) recover(ctx context.Context) (err error) {
	threads := u.c.Threads
	if threads == 0 {
		threads = runtime.NumCPU()
	}
	if u.db, err = duck.Open(ctx, duck.Options{MemoryBytes: u.c.MemoryBytes, Threads: threads, TempDir: filepath.Join(u.c.Dir, "tmp")}); err != nil {
		return err
	}
	if u.lake, err = lake.Open(ctx, filepath.Join(u.c.Dir, "warehouse")); err != nil {
		return err
	}
	if u.state, err = u.loadPublished(); err != nil {
		return err
	}
	u.committed = u.state.Coverage
	u.alerts.Restore(u.state.Alerts)
	if err := u.takeBack(ctx); err != nil {
		return err
	}
	if err := u.loadGold(ctx, u.state.Generation); err != nil {
		return err
	}
	if err := u.loadIDs(ctx); err != nil {
		return err
	}
	u.inbox = newInbox(u.state.Coverage)
	u.announcer.Announce(u.state.Coverage.Clone(), int(u.state.Rules))
	if u.state.Want != 0 {
		u.beginReprocess(u.state.Want)
	}
	return nil
}

// loadIDs claims the ids of all lines in silver, where the guarantee asks for it.
func (u *Unified) loadIDs(ctx context.Context) error {
	for range u.dir.Partitions {
		seen := stream.NewSeen()
		if !u.c.Guarantee.RecognisesDuplicates() {
			seen.WithoutIDs()
		}
		u.seen = append(u.seen, seen)
	}
	files := u.lake.Files(silver, "lines")
	if len(files) == 0 {
		return nil
	}
	if !u.c.Guarantee.RecognisesDuplicates() {
		return u.loadTimes(ctx, files)
	}
	for _, f := range files {
		if err := batch.ReadLines(ctx, f.Path, u.claimAgain); err != nil {
			return fmt.Errorf("silver: %w", err)
		}
	}
	return nil
}

// claimAgain claims the id of a line in silver.
func (u *Unified) claimAgain(l *batch.PlacedLine) {
	u.seen[l.Partition].Claim(&l.OrderLine)
	u.times.Add(l.EventTimeMS)
}

// loadTimes finds the range of event times in silver.
func (u *Unified) loadTimes(ctx context.Context, files []lake.File) error {
	var earliest, latest int64
	if err := u.db.QueryRowContext(ctx, "SELECT min(event_time_ms), max(event_time_ms) FROM "+readParquet(files)).Scan(&earliest, &latest); err != nil {
		return fmt.Errorf("read silver: %w", err)
	}
	u.times.Add(earliest)
	u.times.Add(latest)
	return nil
}

// Run implements architecture.Architecture.
func (u *Unified) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, u.close()) }()
	found, err := eventlog.Inputs(ctx, u.c.Log, u.c.Topics)
	if err != nil {
		return architecture.UnlessStopped(ctx, err)
	}
	from := u.current().Coverage
	if err := found.Verify(u.c.Topics, from); err != nil {
		return err
	}
	u.end.Start(found.End)
	g, gctx := architecture.NewGroup(ctx)
	for n := range u.dir.Partitions {
		source := intake.Source{Log: u.c.Log, Topics: u.c.Topics, Partition: n, Faults: u.c.Faults, Chunk: 4096, Watermarks: u.watermarks}
		g.Go(func() error {
			return source.FollowOrders(gctx, from.Orders[n], func(b intake.Orders) error {
				if err := u.alerts.Room(gctx); err != nil {
					return err
				}
				return u.inbox.putOrders(gctx, n, b)
			})
		})
		g.Go(func() error {
			return source.FollowCustomers(gctx, from.Customers[n], func(b intake.Customers) error { return u.inbox.putCustomers(gctx, n, b) })
		})
	}
	g.Go(func() error { return u.alerts.Run(gctx) })
	g.Go(func() error { return u.loop(gctx) })
	g.Go(func() error { return u.end.Watch(gctx, u.c.Log, u.c.Topics) })
	g.Go(func() error {
		return eventlog.WatchPartitions(gctx, u.c.Log, u.c.Topics, u.dir.Partitions, u.c.PartitionCheck, u.c.Logger)
	})
	g.Go(func() error {
		select {
		case err := <-u.crashed:
			return err
		case <-gctx.Done():
			return gctx.Err()
		}
	})
	if err := g.Wait("unified"); err != nil {
		return err
	}
	return u.keepAlerts()
}

// loop makes a micro-batch at every trigger; one that outlasts it is followed at
// once by the next. A batch that has begun is completed before a stop.
func (u *Unified) loop(ctx context.Context) error {
	defer u.abandonMerge()
	defer func() {
		if u.rebuild != nil {
			u.rebuild.abandon()
		}
	}()
	whole := context.WithoutCancel(ctx)
	next := time.Now().Add(u.c.Trigger)
	for {
		select {
		case <-time.After(time.Until(next)):
			if err := u.microBatch(whole); err != nil {
				return err
			}
			u.startDueRebuild(whole)
			// Triggers keep their schedule. One that is missed comes at once, and a
			// backlog does not wait for any.
			next = next.Add(u.c.Trigger)
			if now := time.Now(); next.Before(now) || u.inbox.full() {
				next = now
			}
		case <-u.wake:
			u.rebuildDue = true
			u.startDueRebuild(whole)
		case err := <-u.mergeDone():
			if err := u.finishMerge(whole, err); err != nil {
				return err
			}
		case err := <-u.rebuildDone():
			if err := u.finishRebuild(whole, err); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Answer implements architecture.Architecture.
func (u *Unified) Answer(ctx context.Context, q view.Query) (architecture.Answer, error) {
	c, err := u.cut(ctx)
	if err != nil {
		return architecture.Answer{}, err
	}
	defer c.tx.Rollback() //nolint:errcheck // nothing was written
	a := architecture.Answer{View: q.View, Rules: c.Rules, Coverage: c.Coverage.Clone()}
	k := batch.Kernel{Params: u.c.Params, Rules: c.Rules}
	last := q.Last // of a stretch too no more starts than these can show
	a.Rows, err = stream.Latest(u.c.Params, q, func(q view.Query) ([]view.Row, stream.Times, error) {
		if q.From != nil && *q.From > c.times.Latest { // no window and no session begins after the last line
			return nil, c.times, nil
		}
		q.Last = last
		rows, err := batch.Collect(ctx, c.tx, q.View.Schema(), k.Finish(q, served(c.Generation, q.View.Partial()), served(c.Generation, view.Profiles)))
		return rows, c.times, err
	})
	return a, err
}

// cut is one consistent state of what is served, seen through a transaction. A
// long answer so holds up neither a batch nor another answer.
type cut struct {
	published
	times stream.Times
	tx    *sql.Tx
}

func (u *Unified) cut(ctx context.Context) (cut, error) {
	u.serving.RLock()
	defer u.serving.RUnlock()
	tx, err := u.db.BeginTx(ctx, nil)
	if err != nil {
		return cut{}, fmt.Errorf("begin an answer: %w", err)
	}
	// A transaction sees the state of its first statement, not of its beginning.
	if _, err := tx.ExecContext(ctx, "SELECT 1 FROM "+served(u.state.Generation, view.Profiles)+" LIMIT 0"); err != nil {
		return cut{}, errors.Join(fmt.Errorf("begin an answer: %w", err), tx.Rollback())
	}
	return cut{published: u.state, times: u.times, tx: tx}, nil
}

// Coverage implements architecture.Architecture.
func (u *Unified) Coverage() *coverage.Announcer { return u.announcer }

// Reprocess implements architecture.Architecture. Silver holds the history, so
// the log's head is not needed.
func (u *Unified) Reprocess(_ context.Context, rules view.Rules) (architecture.Outcome, error) {
	u.serving.Lock()
	defer u.serving.Unlock()
	switch {
	case u.ended:
		return 0, architecture.ErrEnded
	case u.state.Want != 0:
		return architecture.Busy, nil
	case u.state.Rules == rules:
		return architecture.Served, nil
	}
	next := u.state
	next.Want = rules
	if err := u.savePublished(next); err != nil {
		return 0, err
	}
	if err := u.c.Faults.Point(afterRequest); err != nil {
		u.crashed <- err
		return 0, err
	}
	u.state = next
	u.beginReprocess(rules)
	return architecture.Started, nil
}

func (u *Unified) beginReprocess(rules view.Rules) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.requested = time.Now()
	u.reprocess = &architecture.Progress{Rules: rules, Running: true}
	u.wake <- struct{}{}
}

// Status implements architecture.Architecture.
func (u *Unified) Status() architecture.Status {
	st := u.current()
	s := architecture.Status{Architecture: "unified", Rules: st.Rules, Policy: u.c.Policy, Guarantee: u.c.Guarantee, Coverage: st.Coverage.Clone(),
		Duplicate: st.Duplicate, Conflicting: st.Conflicting, Unusable: st.Unusable, Commits: u.commits.Load(),
		CrashPoints: CrashPoints(u.c.Guarantee), Bugs: Bugs(), State: map[string]int64{"waiting_records": u.inbox.waiting(), "lines": st.Lines},
		Reigns: st.Reigns, Alerts: u.alerts.Counts(), WatermarksMS: u.watermarks.MS(), Durations: u.durations.Snapshot(architecture.Commit, architecture.Compaction)}
	u.mu.Lock()
	defer u.mu.Unlock()
	s.Committed = u.committed.Clone()
	u.end.Report(&s)
	if u.reprocess != nil {
		p := *u.reprocess
		if p.Running {
			p.Seconds, p.Total = time.Since(u.requested).Seconds(), s.Coverage.Sum()
		}
		s.Reprocess = &p
	}
	return s
}
