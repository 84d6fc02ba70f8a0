package lambda

import (
	"context"
	"errors"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"archbench/common/alerts"
	"archbench/common/architecture"
	"archbench/common/coverage"
	"archbench/common/datadir"
	"archbench/common/duck"
	"archbench/common/eventlog"
	"archbench/common/intake"
	"archbench/common/stream"
	"archbench/common/view"
	"archbench/lambda/master"
)

// intakeChunk is how many records a partition takes in one go.
const intakeChunk = 512

// formatVersion is that of the data directory. Since 2 the manifest counts unusable
// records by segment; since 3 the alerts that wait are kept, and from where on which
// rules were served.
const formatVersion = 3

// Crash points of its own; those of package intake come on top.
const (
	afterSegment   = "lambda.after-segment"
	afterManifest  = "lambda.after-manifest"
	betweenCommits = "lambda.between-commits"
	afterMerge     = "lambda.after-segment-merge"
	afterBatch     = "lambda.after-batch-files"
	afterPointer   = "lambda.after-pointer"
	afterRequest   = "lambda.after-reprocess-request"

	bugCountTwice  = "count-duplicates"
	bugSeamOverlap = "seam-overlap"
	bugSeamGap     = "seam-gap"

	bugCountLate  = "count-late"
	bugForgetMark = "forget-watermark"
)

// CrashPoints lists the places where Lambda can be killed between two steps.
func CrashPoints(g architecture.Guarantee) []string {
	points := []string{intake.BeforeDeadLetter, intake.AfterDeadLetter, alerts.BeforeAlerts, alerts.AfterAlerts, afterSegment, afterManifest, afterMerge, afterBatch, afterPointer, afterRequest}
	if g != architecture.EffectivelyOnce {
		points = append(points, betweenCommits)
	}
	return points
}

// Bugs lists the bugs that can be planted, to prove that the harness finds them.
func Bugs() []string {
	return []string{bugCountTwice, bugSeamOverlap, bugSeamGap, alerts.BugForget, alerts.BugShadow}
}

// BoundedBugs lists those that only show under policy bounded.
func BoundedBugs() []string { return []string{bugCountLate, bugForgetMark} }

// Lambda implements architecture.Architecture.
type Lambda struct {
	c          architecture.Config
	dir        *datadir.Dir
	db         *duck.DB
	master     *master.Master
	partitions []*partition
	announcer  *coverage.Announcer
	alerts     *alerts.Outbox
	commits    atomic.Int64
	durations  architecture.Durations
	watermarks *intake.Watermarks
	backlog    *backlog
	end        architecture.LogEnd
	segmentDue chan struct{} // enough waits for a segment

	keeping sync.Mutex // held while the alerts that wait are kept
	kept    uint64     // the change of them that is

	sealing sync.Mutex // held while the master dataset grows or its segments are merged
	broken  error      // of seal

	// swap is held for reading while an answer takes its cuts, and for writing
	// while a batch view takes another's place and spans are forgotten.
	swap    sync.RWMutex
	batch   *batchView
	pointer pointer

	mu        sync.Mutex // guards what follows
	vector    coverage.Coverage
	committed coverage.Coverage
	layer     architecture.BatchStatus
	reprocess *architecture.Progress
	requested time.Time
	ended     bool          // Run is over
	preempt   func()        // gives up the batch that runs
	wake      chan struct{} // a batch is due before its time
	crashed   chan error    // a crash point passed outside Run
}

// Open recovers the committed state.
func Open(ctx context.Context, c architecture.Config) (*Lambda, error) {
	c = c.WithDefaults()
	if err := errors.Join(architecture.CheckSemantics(c.Policy, c.Guarantee), architecture.CheckLateness(c.Lateness)); err != nil {
		return nil, err
	}
	dir, err := datadir.Open(c.Dir, formatVersion, datadir.Identity{Architecture: "lambda", Topics: c.Topics, Params: c.Params, Guarantee: c.Guarantee}, func() (int, error) {
		b, err := eventlog.Inputs(ctx, c.Log, c.Topics)
		return len(b.End.Orders), err
	})
	if err != nil {
		return nil, err
	}
	l := &Lambda{c: c, dir: dir, announcer: coverage.NewAnnouncer(), alerts: alerts.NewOutbox(c.Log, c.Topics.Alerts, c.Faults, c.Logger), watermarks: intake.NewWatermarks(dir.Partitions), backlog: newBacklog(defaultLimits),
		segmentDue: make(chan struct{}, 1), preempt: func() {}, wake: make(chan struct{}, 1), crashed: make(chan error, 1)}
	if err := l.recover(ctx); err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

// recover loads the batch view that the pointer names and rebuilds the speed
// layer, and the ids of all time, from the segments.
func (l *Lambda) recover(ctx context.Context) (err error) {
	threads := l.c.Threads
	if threads == 0 {
		threads = goruntime.NumCPU()
	}
	if l.db, err = duck.Open(ctx, duck.Options{MemoryBytes: l.c.MemoryBytes, Threads: threads, TempDir: filepath.Join(l.c.Dir, "tmp")}); err != nil {
		return err
	}
	if l.master, err = master.Open(filepath.Join(l.c.Dir, "master"), l.dir.Partitions, l.db); err != nil {
		return err
	}
	if err := l.reconcile(); err != nil {
		return err
	}
	if l.pointer, err = l.loadPointer(); err != nil {
		return err
	}
	if l.batch, err = l.loadBatch(ctx, l.pointer); err != nil {
		return err
	}
	if err := l.restoreAlerts(); err != nil {
		return err
	}
	seam, reign := l.batch.at, l.pointer.Reigns[len(l.pointer.Reigns)-1]
	var lateness *time.Duration // the batch layer is always exact
	if l.c.Policy == architecture.Bounded {
		lateness = &l.c.Lateness
	}
	for n := range l.dir.Partitions {
		p := newPartition(n, l.c.Params, l.batch.rules, lateness, l.c.Faults)
		if !l.c.Guarantee.RecognisesDuplicates() {
			p.seen.WithoutIDs()
		}
		p.reign(reign.Rules, reign.From.Orders[n])
		p.seen.Reserve(l.master.Coverage().Orders[n])
		p.at = position{seam.Orders[n], seam.Customers[n]}
		p.newSpan()
		l.partitions = append(l.partitions, p)
	}
	if err := l.replaySegments(ctx, seam); err != nil {
		return err
	}
	l.vector = l.master.Coverage()
	l.committed = l.vector.Clone()
	l.announcer.Announce(l.vector.Clone(), int(l.batch.rules))
	if l.pointer.Want != 0 {
		l.beginReprocess(l.pointer.Want)
	}
	return nil
}

// reconcile lets the master dataset end where the log is read on, under a guarantee
// that keeps this in a file of its own.
func (l *Lambda) reconcile() error {
	if l.c.Guarantee == architecture.EffectivelyOnce {
		return nil
	}
	state := l.master.Coverage()
	offsets, err := l.dir.Offsets(state)
	if err != nil {
		return err
	}
	if !offsets.Equal(state) {
		l.c.Logger.Warn("a crash came between the commits of state and offsets", "guarantee", l.c.Guarantee, "state", state, "offsets", offsets)
	}
	return l.master.EndAt(offsets)
}

// replaySegments claims the ids of all lines, so that watermark and ids run from
// offset 0, and gives those behind the seam to the speed layer. The batch layer has
// the others itself.
func (l *Lambda) replaySegments(ctx context.Context, seam coverage.Coverage) error {
	err := l.master.Replay(ctx,
		func(c *master.Change) {
			p := l.partitions[c.Partition]
			if p.known != nil || c.Offset >= seam.Customers[c.Partition] {
				p.addChange(&c.ProfileChange, c.Offset)
			}
		},
		func(line *master.Line) {
			p := l.partitions[line.Partition]
			switch {
			case line.Offset >= seam.Orders[line.Partition]:
				line.Country, line.StockCode = strings.Clone(line.Country), strings.Clone(line.StockCode) // the state keeps them
				p.addLine(&line.OrderLine)
			case !l.c.Faults.Bug(bugForgetMark):
				p.passLine(&line.OrderLine)
			}
		})
	if err != nil {
		return err
	}
	end := l.master.Coverage()
	for n, p := range l.partitions {
		p.at = position{end.Orders[n], end.Customers[n]}
		restored := end.Orders[n] - seam.Orders[n] + end.Customers[n] - seam.Customers[n]
		p.growing().reached(p.at, int(restored))
		if l.backlog.restored(restored) {
			raise(l.wake)
		}
	}
	l.partitions[0].counts.unusable = l.master.Unusable()
	return nil
}

// close ends all writing, also by those who ask from outside Run.
func (l *Lambda) close() error {
	l.mu.Lock()
	l.ended = true
	l.mu.Unlock()
	var errs []error
	if l.db != nil {
		errs = append(errs, l.db.Close())
	}
	return errors.Join(append(errs, l.dir.Close())...)
}

// Run implements architecture.Architecture.
func (l *Lambda) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, l.close()) }()
	found, err := eventlog.Inputs(ctx, l.c.Log, l.c.Topics)
	if err != nil {
		return architecture.UnlessStopped(ctx, err)
	}
	if err := found.Verify(l.c.Topics, l.vector); err != nil {
		return err
	}
	l.end.Start(found.End)
	g, gctx := architecture.NewGroup(ctx)
	for n, p := range l.partitions {
		source := intake.Source{Log: l.c.Log, Topics: l.c.Topics, Partition: n, Faults: l.c.Faults, Chunk: intakeChunk, Watermarks: l.watermarks}
		at := p.at
		g.Go(func() error {
			return source.FollowOrders(gctx, at.orders, func(b intake.Orders) error {
				p.addOrders(b, l.alerts)
				l.announce(func(v coverage.Coverage) { v.Orders[n] = b.Next })
				if err := l.grown(gctx, len(b.Records)); err != nil {
					return err
				}
				return l.alerts.Room(gctx)
			})
		})
		g.Go(func() error {
			return source.FollowCustomers(gctx, at.customers, func(b intake.Customers) error {
				p.addCustomers(b)
				l.announce(func(v coverage.Coverage) { v.Customers[n] = b.Next })
				return l.grown(gctx, len(b.Records))
			})
		})
	}
	g.Go(func() error { return l.alerts.Run(gctx) })
	g.Go(func() error { return l.batchLoop(gctx) })
	g.Go(func() error { return l.segmentLoop(gctx) })
	g.Go(func() error { return l.end.Watch(gctx, l.c.Log, l.c.Topics) })
	g.Go(func() error {
		return eventlog.WatchPartitions(gctx, l.c.Log, l.c.Topics, l.dir.Partitions, l.c.PartitionCheck, l.c.Logger)
	})
	g.Go(func() error {
		select {
		case err := <-l.crashed:
			return err
		case <-gctx.Done():
			return gctx.Err()
		}
	})
	if err := g.Wait("lambda"); err != nil {
		return err
	}
	if err := l.writeSegment(); err != nil { // a clean stop keeps what was read
		return err
	}
	return l.keepAlerts()
}

// grown counts what was read, sees to a segment or a batch that is due because of
// it, and waits until there is room for more.
func (l *Lambda) grown(ctx context.Context, records int) error {
	segment, batch := l.backlog.add(int64(records))
	if segment {
		raise(l.segmentDue)
	}
	if batch {
		raise(l.wake)
	}
	return l.backlog.wait(ctx)
}

// raise raises a flag for one who will look at it. One that stands already is
// enough, and nobody who may hold a lock should wait for it to be taken down.
func raise(flag chan<- struct{}) {
	select {
	case flag <- struct{}{}:
	default:
	}
}

// announce tells what answers include now.
func (l *Lambda) announce(advance func(coverage.Coverage)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.pastStart()
	advance(l.vector)
	if !before && l.pastStart() && l.pointer.Want != 0 {
		raise(l.wake) // the reprocess has waited for this
	}
	l.announcer.Announce(l.vector.Clone(), int(l.servedRules()))
}

// pastStart reports whether all is read that may have been served before a crash.
// Only then does a reprocess begin: lines that were served under the old rules, and
// raised alerts under them, are so never served under the new ones first. The caller
// holds mu.
func (l *Lambda) pastStart() bool { return l.end.Passed(l.vector) }

// servedRules are those of the last announcement or switch; they change under mu.
func (l *Lambda) servedRules() view.Rules { return l.pointer.Rules }

// Answer implements architecture.Architecture.
func (l *Lambda) Answer(ctx context.Context, q view.Query) (architecture.Answer, error) {
	a := architecture.Answer{View: q.View}
	var err error
	a.Rows, err = stream.Latest(l.c.Params, q, func(q view.Query) ([]view.Row, stream.Times, error) {
		cuts, times, err := l.cut(ctx, q, &a)
		if err != nil {
			return nil, times, err
		}
		return stream.Finish(l.c.Params, q, cuts...), times, nil
	})
	return a, err
}

// cut takes what a query needs of every span behind the seam and of the batch view,
// and names the coverage in the answer. The spans are copied; the view is held until
// it was read, which may go on while another one takes its place.
func (l *Lambda) cut(ctx context.Context, q view.Query, a *architecture.Answer) ([]*stream.Cut, stream.Times, error) {
	v, spans, times, err := l.cutSpans(q, a)
	if err != nil {
		return nil, times, err
	}
	defer v.reading.RUnlock()
	cuts, err := l.cutView(ctx, v, q, spans)
	return append(cuts, spans...), times, err
}

// cutSpans takes the spans behind the seam, and holds the batch view before it.
func (l *Lambda) cutSpans(q view.Query, a *architecture.Answer) (v *batchView, cuts []*stream.Cut, times stream.Times, err error) {
	l.swap.RLock()
	defer l.swap.RUnlock()
	v = l.batch
	seam := v.at.Clone()
	a.Rules, a.Seam, a.Coverage = v.rules, &seam, coverage.Zero(len(l.partitions))
	times = v.times
	for n, p := range l.partitions {
		some, at, known, err := p.cut(q, v.rules, position{v.at.Orders[n], v.at.Customers[n]})
		if err != nil {
			return nil, nil, times, err
		}
		cuts = append(cuts, some...)
		a.Coverage.Orders[n], a.Coverage.Customers[n] = at.orders, at.customers
		times.Merge(known)
	}
	v.reading.RLock()
	return v, cuts, times, nil
}

// Coverage implements architecture.Architecture.
func (l *Lambda) Coverage() *coverage.Announcer { return l.announcer }

// Reprocess implements architecture.Architecture. The master dataset holds the
// history, so the log's head is not needed.
func (l *Lambda) Reprocess(_ context.Context, rules view.Rules) (architecture.Outcome, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.ended:
		return 0, architecture.ErrEnded
	case l.pointer.Want != 0:
		return architecture.Busy, nil
	case l.pointer.Rules == rules:
		return architecture.Served, nil
	}
	next := l.pointer
	next.Want = rules
	if err := l.savePointer(next); err != nil {
		return 0, err
	}
	if err := l.c.Faults.Point(afterRequest); err != nil {
		l.crashed <- err
		return 0, err
	}
	l.pointer = next
	l.beginReprocess(rules)
	return architecture.Started, nil
}

// beginReprocess wakes the batch layer. The caller holds mu, or nothing runs yet.
func (l *Lambda) beginReprocess(rules view.Rules) {
	l.requested = time.Now()
	l.reprocess = &architecture.Progress{Rules: rules, Running: true}
	l.preempt()
	raise(l.wake)
}

// Status implements architecture.Architecture.
func (l *Lambda) Status() architecture.Status {
	l.swap.RLock()
	seam, rows := l.batch.at.Clone(), l.batch.rows
	l.swap.RUnlock()
	s := architecture.Status{Architecture: "lambda", Policy: l.c.Policy, Guarantee: l.c.Guarantee, Seam: &seam, Commits: l.commits.Load(),
		CrashPoints: CrashPoints(l.c.Guarantee), Bugs: append(Bugs(), BoundedBugs()...), State: map[string]int64{"batch_rows": rows},
		Alerts: l.alerts.Counts(), WatermarksMS: l.watermarks.MS(), Durations: l.durations.Snapshot(architecture.Commit, architecture.Batch, architecture.Compaction)}
	for _, p := range l.partitions {
		p.report(&s)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s.Rules, s.Reigns, s.Coverage, s.Committed = l.servedRules(), l.pointer.Reigns, l.vector.Clone(), l.committed.Clone()
	l.end.Report(&s)
	layer := l.layer
	s.Batch = &layer
	if l.reprocess != nil {
		p := *l.reprocess
		if p.Running {
			p.Seconds = time.Since(l.requested).Seconds()
			if p.Total == 0 { // its batch has not begun
				p.Total = s.Coverage.Sum()
			}
		}
		s.Reprocess = &p
	}
	return s
}

// report adds the partition's counts to a status.
func (p *partition) report(s *architecture.Status) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.Unusable += p.counts.unusable
	s.Duplicate += p.counts.duplicate
	s.Conflicting += p.counts.conflicting
	s.Late += p.counts.late
	if p.known != nil {
		s.State["profiles"] += int64(p.known.Len())
	}
	s.State["ids"] += int64(p.seen.Len())
	s.State["spending_sums"] += int64(p.spending.Len())
	s.State["spans"] += int64(len(p.spans))
	s.State["waiting_lines"] += int64(len(p.lines))
	for _, sp := range p.spans {
		s.State["speed_records"] += sp.records
		for _, state := range sp.states {
			s.State["speed_rows"] += int64(state.Len())
		}
	}
}
