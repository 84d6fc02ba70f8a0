package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"archbench/common/architecture"
	"archbench/common/batch"
	"archbench/common/coverage"
	"archbench/common/duck"
	"archbench/common/durable"
	"archbench/common/fault"
	"archbench/common/view"
)

// pointer is the durable record that names the batch view that is served. It is
// the switch of a reprocess.
type pointer struct {
	Number   int               `json:"number"` // of the batch view; 0: none yet
	Rules    view.Rules        `json:"rules"`
	Coverage coverage.Coverage `json:"coverage"`
	Want     view.Rules        `json:"want,omitempty"` // rules asked for and not yet served
	// Repeated is how many of the master dataset's repeated segments the view holds.
	Repeated int `json:"repeated,omitempty"`
	// Reigns are the rules that were served, and from where on.
	Reigns []architecture.Reign `json:"reigns"`
	// Sums are the CRC-32C of the batch view's files, in the order of view.Partials.
	Sums []uint32 `json:"sums"`
}

const (
	pointerName    = "batch-pointer"
	pointerVersion = 3
)

func (l *Lambda) loadPointer() (pointer, error) {
	p := pointer{Rules: l.c.Rules, Coverage: coverage.Zero(l.dir.Partitions), Reigns: architecture.FirstReign(l.c.Rules, l.dir.Partitions)}
	path := filepath.Join(l.c.Dir, pointerName)
	content, err := durable.Load(path, pointerName, pointerVersion)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(content, &p); err != nil {
		return p, &durable.Damaged{Path: path, Reason: "cannot be read: " + err.Error()}
	}
	return p, nil
}

func (l *Lambda) savePointer(p pointer) error {
	content, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encode the batch pointer: %w", err)
	}
	return durable.Save(filepath.Join(l.c.Dir, pointerName), pointerName, pointerVersion, content)
}

func (l *Lambda) viewsDir(number int) string {
	return filepath.Join(l.c.Dir, "batch", strconv.Itoa(number))
}

func (l *Lambda) viewFile(number int, kind view.Partial) string {
	return filepath.Join(l.viewsDir(number), string(kind)+".parquet")
}

// loadBatch loads the batch view that the pointer names and removes others,
// which a crash left.
func (l *Lambda) loadBatch(ctx context.Context, p pointer) (*batchView, error) {
	v := l.emptyView(p.Rules)
	v.at, v.number, v.sums = p.Coverage, p.Number, p.Sums
	if !l.master.Coverage().AtLeast(p.Coverage) {
		return nil, &durable.Damaged{Path: filepath.Join(l.c.Dir, pointerName), Reason: "names a batch view that covers more than the master dataset: remove the data directory to build the state anew from the log"}
	}
	entries, err := os.ReadDir(filepath.Join(l.c.Dir, "batch"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list the batch views: %w", err)
	}
	for _, e := range entries {
		if e.Name() != strconv.Itoa(p.Number) {
			if err := os.RemoveAll(filepath.Join(l.c.Dir, "batch", e.Name())); err != nil {
				return nil, fmt.Errorf("remove a batch view that a crash left: %w", err)
			}
		}
	}
	if n := l.master.Repeated() - p.Repeated; n != 0 {
		return l.rebuild(ctx, fmt.Errorf("it lacks %d segments whose records come again", n))
	}
	if p.Number == 0 {
		return v, nil
	}
	if err := l.checkView(p); err != nil {
		return l.rebuild(ctx, err)
	}
	return v, l.openView(ctx, v)
}

// checkView checks the files of the batch view that the pointer names.
func (l *Lambda) checkView(p pointer) error {
	kinds := view.Partials()
	if len(p.Sums) != len(kinds) {
		return &durable.Damaged{Path: filepath.Join(l.c.Dir, pointerName), Reason: "names another number of files"}
	}
	for n, kind := range kinds {
		if err := durable.CheckFile(l.viewFile(p.Number, kind), p.Sums[n], "it is computed anew"); err != nil {
			return err
		}
	}
	return nil
}

// rebuild computes a batch view anew that is damaged or lacks something: all that it
// holds is in the segments, and what they hold beyond it may be in it too.
func (l *Lambda) rebuild(ctx context.Context, why error) (*batchView, error) {
	l.c.Logger.Warn("the batch view is computed anew from the master dataset", "err", why)
	in := l.wholeInput()
	next := l.pointer
	next.Number++
	v, err := l.derive(ctx, next.Rules, in, next.Number)
	if err != nil {
		return nil, err
	}
	next.Coverage, next.Sums, next.Repeated = v.at, v.sums, v.repeated
	if err := l.savePointer(next); err != nil {
		return nil, err
	}
	l.pointer = next
	return v, nil
}

// batchLoop runs the batch layer at every interval; one that outlasts it is
// followed at once by the next. A reprocess is a run under other rules; it does not
// wait for the end of one whose views it replaces.
func (l *Lambda) batchLoop(ctx context.Context) error {
	next := time.Now().Add(l.c.BatchInterval)
	for {
		select {
		case <-time.After(time.Until(next)):
		case <-l.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
		began := time.Now()
		work, stop := context.WithCancel(ctx)
		l.mu.Lock()
		p := l.pointer
		if !l.pastStart() {
			p.Want = 0
		}
		l.preempt = stop
		l.mu.Unlock()
		err := l.runBatch(work, p)
		preempted := work.Err() != nil && ctx.Err() == nil
		stop()
		switch {
		case preempted && !errors.Is(err, fault.ErrCrash):
			l.mu.Lock()
			l.layer.Preempted++
			l.mu.Unlock()
			continue // the reprocess has raised wake
		case err != nil:
			return err
		}
		l.durations.Since(architecture.Batch, began)
		l.mu.Lock()
		l.layer.Runs++
		l.layer.LastSeconds = time.Since(began).Seconds()
		l.layer.IntervalSeconds = began.Sub(next.Add(-l.c.BatchInterval)).Seconds()
		l.mu.Unlock()
		next = began.Add(l.c.BatchInterval)
	}
}

// runBatch seals what was read, computes all partials from scratch under the
// rules that are wanted, and swaps them in.
func (l *Lambda) runBatch(ctx context.Context, p pointer) error {
	rules := p.Rules
	if p.Want != 0 {
		rules = p.Want
	}
	in, err := l.beginBatch(ctx, rules)
	if err != nil {
		return err
	}
	number := p.Number + 1
	v, err := l.derive(ctx, rules, in, number)
	switch {
	case err != nil && rules != p.Rules && ctx.Err() == nil:
		return l.giveUp(rules, number, err)
	case err != nil:
		return err
	}
	if err := l.c.Faults.Point(afterBatch); err != nil {
		return err
	}
	if err := l.plantAlertBug(ctx, v); err != nil {
		return err
	}
	old, err := l.swapIn(v)
	if err != nil {
		return err
	}
	return l.removeView(old)
}

// derive makes a batch view of the input.
func (l *Lambda) derive(ctx context.Context, rules view.Rules, in input, number int) (*batchView, error) {
	v := l.emptyView(rules)
	v.at, v.number, v.repeated = in.at, number, in.repeated
	var err error
	if v.sums, err = l.compute(ctx, rules, in, number); err != nil {
		return nil, fmt.Errorf("batch layer: %w", err)
	}
	return v, l.openView(ctx, v)
}

// giveUp ends a reprocess whose batch failed. The old rules stay, and the spans
// were kept under them all along.
func (l *Lambda) giveUp(rules view.Rules, number int, why error) error {
	l.c.Logger.Error("the reprocess failed; the old rules stay", "rules", rules, "err", why)
	l.swap.Lock()
	defer l.swap.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	next := l.pointer
	next.Want = 0
	if err := l.savePointer(next); err != nil {
		return err
	}
	l.pointer = next
	seam := l.batch.at
	for n, p := range l.partitions {
		p.forget(position{seam.Orders[n], seam.Customers[n]}, []view.Rules{next.Rules})
	}
	l.reprocess.Running, l.reprocess.Failed, l.reprocess.Seconds = false, why.Error(), time.Since(l.requested).Seconds()
	if err := os.RemoveAll(l.viewsDir(number)); err != nil {
		return fmt.Errorf("remove a batch view that failed: %w", err)
	}
	return nil
}

// input is what a batch computes from: the master dataset up to a vector, as
// relations over files that stay until the next batch begins.
type input struct {
	at             coverage.Coverage
	lines, changes string
	repeated       int // segments in them whose records come again
}

// wholeInput is the whole master dataset. It must not grow meanwhile.
func (l *Lambda) wholeInput() input {
	return input{l.master.Coverage(), l.master.Lines(), l.master.Changes(), l.master.Repeated()}
}

// beginBatch begins new spans where the batch's input ends, under the served
// rules and, for a reprocess, the wanted ones.
func (l *Lambda) beginBatch(ctx context.Context, wanted view.Rules) (input, error) {
	l.mu.Lock()
	rules := []view.Rules{l.pointer.Rules}
	l.mu.Unlock()
	if wanted != rules[0] {
		rules = append(rules, wanted)
	}
	l.sealing.Lock()
	defer l.sealing.Unlock()
	if _, err := l.seal(func(p *partition) share {
		s, ended := p.seal(rules)
		l.backlog.sealed(ended) // at once: writing the segment takes long
		return s
	}); err != nil {
		return input{}, err
	}
	began := time.Now()
	if err := l.master.MergeSmall(ctx, func() error {
		l.durations.Since(architecture.Compaction, began)
		began = time.Now() // of the next merge, if there is one
		return l.c.Faults.Point(afterMerge)
	}); err != nil {
		return input{}, err
	}
	return l.wholeInput(), nil // it ends where the spans begin
}

// segmentLoop writes a segment whenever enough waits for one, also while a batch
// runs, which may take long.
func (l *Lambda) segmentLoop(ctx context.Context) error {
	for {
		select {
		case <-l.segmentDue:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := l.writeSegment(); err != nil {
			return err
		}
	}
}

// writeSegment puts everything read so far into the master dataset. The spans go on.
func (l *Lambda) writeSegment() error {
	l.sealing.Lock()
	defer l.sealing.Unlock()
	_, err := l.seal((*partition).take)
	return err
}

// seal makes a segment of what the partitions hand over. What it takes from them
// is either in the manifest or the process must not go on: so nothing interrupts it,
// and after a failure it fails for ever. The caller holds sealing.
func (l *Lambda) seal(take func(*partition) share) (at coverage.Coverage, err error) {
	if l.broken != nil {
		return at, l.broken
	}
	defer func() { l.broken = err }()
	began := time.Now()
	at = coverage.Zero(len(l.partitions))
	var all share
	for n, p := range l.partitions {
		s := take(p)
		at.Orders[n], at.Customers[n] = s.to.orders, s.to.customers
		all.lines, all.changes, all.unusable = append(all.lines, s.lines...), append(all.changes, s.changes...), all.unusable+s.unusable
	}
	defer l.backlog.kept(all.records())
	if l.master.Coverage().Equal(at) {
		return at, nil
	}
	err = l.c.Guarantee.Commit(
		func() error { return l.keep(at, all) },
		func() error { return l.dir.SaveOffsets(at) },
		func() error { return l.c.Faults.Point(betweenCommits) })
	if err != nil {
		return at, err
	}
	l.mu.Lock()
	l.committed = at.Clone()
	l.mu.Unlock()
	l.commits.Add(1)
	l.durations.Since(architecture.Commit, began)
	return at, l.c.Faults.Point(afterManifest)
}

// keep writes a segment and names it in the manifest.
func (l *Lambda) keep(at coverage.Coverage, all share) error {
	g, err := l.master.Write(at, all.lines, all.changes)
	if err != nil {
		return err
	}
	if err := l.c.Faults.Point(afterSegment); err != nil {
		return err
	}
	if err := l.keepAlerts(); err != nil {
		return err
	}
	return l.master.Commit(g, all.unusable)
}

// viewGroupRows are the rows of a row group in a batch view's file: an answer reads whole
// groups, so they are small.
const viewGroupRows = 16_384

// compute runs the SQL kernel over all segments, writes every partial to disk and
// returns the files' sums.
func (l *Lambda) compute(ctx context.Context, rules view.Rules, in input, number int) ([]uint32, error) {
	dir := l.viewsDir(number)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the batch view's directory: %w", err)
	}
	k := batch.Kernel{Params: l.c.Params, Rules: rules}
	if err := l.count(ctx, k, in); err != nil {
		return nil, err
	}
	l.passed(rules, in, 1)
	var sums []uint32
	for n, kind := range view.Partials() {
		from := "counted"
		if kind == view.Profiles {
			from = in.changes
		}
		path, schema := l.viewFile(number, kind), kind.Schema()
		// In the order of windows, so that an answer reads the row groups of its range alone.
		copying := fmt.Sprintf("COPY (SELECT * FROM (%s) ORDER BY %s) TO %s (FORMAT parquet, ROW_GROUP_SIZE %d)", k.Partial(kind, from), schema.Columns[schema.Window].Name, duck.Quote(path), viewGroupRows)
		if err := l.db.Do(ctx, "compute "+string(kind), copying); err != nil {
			return nil, err
		}
		sum, err := durable.SyncFile(path)
		if err != nil {
			return nil, fmt.Errorf("sync %s: %w", path, err)
		}
		sums = append(sums, sum)
		l.passed(rules, in, 2+n)
	}
	if err := l.db.Do(ctx, "tidy up after a batch", "DROP TABLE counted"); err != nil {
		return nil, err
	}
	return sums, errors.Join(durable.SyncDir(dir), durable.SyncDir(filepath.Dir(dir)))
}

// count makes a table of the lines that count under the kernel's rules: of the first of
// each id, or of all where the guarantee recognises no duplicates.
func (l *Lambda) count(ctx context.Context, k batch.Kernel, in input) error {
	lines := in.lines
	if l.c.Guarantee.RecognisesDuplicates() {
		lines = "(" + k.Distinct(in.lines) + ")"
	}
	return l.db.Do(ctx, "find the lines that count", "CREATE OR REPLACE TABLE counted AS "+k.Counted(lines))
}

// passed notes how many passes over its input a batch has made: one to find the
// lines that count, and one for each partial. A reprocess has done that share
// of its records, less one pass for loading the rows.
func (l *Lambda) passed(rules view.Rules, in input, passes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.reprocess; r != nil && r.Running && r.Rules == rules {
		r.Total = in.at.Sum()
		r.Done = r.Total * int64(passes) / int64(len(view.Partials())+2)
	}
}

// swapIn makes a batch view the served one: the pointer first, then memory, then
// the spans that it covers are forgotten. It returns the one that was served before.
func (l *Lambda) swapIn(v *batchView) (old *batchView, err error) {
	l.swap.Lock()
	defer l.swap.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	next := pointer{Number: v.number, Rules: v.rules, Coverage: v.at, Want: l.pointer.Want, Sums: v.sums, Repeated: v.repeated, Reigns: l.pointer.Reigns}
	if next.Want == v.rules {
		next.Want = 0
	}
	if err := l.savePointerOfView(&next); err != nil {
		return nil, err
	}
	if err := l.c.Faults.Point(afterPointer); err != nil {
		return nil, err
	}
	switched := next.Rules != l.pointer.Rules
	old = l.batch
	l.pointer, l.batch = next, v
	l.plantSeamBugs(v)
	for n, p := range l.partitions {
		p.forget(position{v.at.Orders[n], v.at.Customers[n]}, []view.Rules{v.rules})
	}
	if switched {
		l.vector = coverage.Max(l.vector, next.Reigns[len(next.Reigns)-1].From) // what answers include, announced or not
		l.announcer.Announce(l.vector.Clone(), int(v.rules))
		l.reprocess = &architecture.Progress{Rules: v.rules, Switched: true, Done: l.vector.Sum(), Total: l.vector.Sum(), Seconds: time.Since(l.requested).Seconds()}
	}
	return old, nil
}

// savePointerOfView saves the pointer to a new batch view. If it changes the rules,
// no partition advances meanwhile, so that it is clear which lines raise alerts under
// which rules; those raised under the old ones are kept before.
func (l *Lambda) savePointerOfView(next *pointer) error {
	if next.Rules == l.pointer.Rules {
		return l.savePointer(*next)
	}
	from := coverage.Zero(len(l.partitions))
	for n, p := range l.partitions {
		p.mu.Lock()
		defer p.mu.Unlock()
		from.Orders[n], from.Customers[n] = p.at.orders, p.at.customers
	}
	next.Reigns = append(slices.Clone(next.Reigns), architecture.Reign{Rules: next.Rules, From: from})
	if err := errors.Join(l.keepAlerts(), l.savePointer(*next)); err != nil {
		return err
	}
	for n, p := range l.partitions {
		p.reign(next.Rules, from.Orders[n])
	}
	return nil
}

// plantSeamBugs moves the seam that the serving layer believes in. The check at
// every read finds both.
func (l *Lambda) plantSeamBugs(v *batchView) {
	switch {
	case l.c.Faults.Bug(bugSeamGap) && v.at.Orders[0] > 0:
		v.at.Orders[0]--
	case l.c.Faults.Bug(bugSeamOverlap):
		v.at.Orders[0]++
	}
}
