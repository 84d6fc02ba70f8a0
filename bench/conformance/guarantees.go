package conformance

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"archbench/common/architecture"
	"archbench/common/coverage"
	"archbench/common/datadir"
	"archbench/common/event"
	"archbench/common/eventlog"
	"archbench/common/fault"
	"archbench/common/oracle"
	"archbench/common/oracle/oracletest"
	"archbench/common/view"
)

// RunGuarantees runs, under both lesser guarantees, what is demanded of them alone
// and the cases of the suite that a guarantee can change. On a shared log only the
// former, which is what a log can change.
func RunGuarantees(t *testing.T, s Subject, b Backend) {
	own := []Case{
		{"a crash between the commits loses or repeats the work between them", crashBetweenCommits},
		{"a crash between the commits during a reprocess", crashDuringReprocess},
	}
	for _, g := range architecture.Guarantees() {
		if g == architecture.EffectivelyOnce {
			continue
		}
		s.Policy, s.Guarantee = architecture.Bounded, g
		t.Run(string(g), func(t *testing.T) {
			for _, c := range own {
				t.Run(c.Name, func(t *testing.T) { c.run(t, s, b, seed()) })
			}
			if !b.Shared {
				RunSome(t, s, b, "right after a stop and restart at any point", "redelivered lines count once, or as often as they come",
					"lateness and known ids on their edges, across a restart", "the seam advances without gap or overlap",
					"a data directory of another guarantee is refused", "right after a crash at every crash point")
			}
		})
	}
}

// lesser reports whether the subject runs under a guarantee that a crash may show through.
func (e *env) lesser() bool { return e.subject.Guarantee != architecture.EffectivelyOnce }

// fate is what crashes between the commits did to the records of a world.
type fate struct {
	lost  []oracletest.Placed
	again []oracletest.Placed // lines that count once more
}

// neverLate is beyond the latest line that a Maker makes: what is lost and what is
// repeated shall not depend on lateness, and no seam matters.
const neverLate = 1000 * time.Hour

// crashBetweenCommits kills the subject between the commits of state and offsets
// and demands exactly what the guarantee says of the work between: at-most-once
// loses it and repeats nothing, at-least-once counts it twice and loses nothing.
func crashBetweenCommits(e *env) {
	for range e.rounds(4) {
		w := e.world(1 + e.rng.IntN(3))
		w.lateness = neverLate
		var f fate
		w.append(w.byLand(w.maker.Make(40)))
		for range 2 { // the second crash finds what the first one left
			w.crashBetween(&f)
		}
		i := w.start(nil)
		w.append(w.byLand(w.maker.Make(30)))
		i.covers(w.history().End())
		w.judgeFate(i, &f)
		i.stop()
		i = w.start(nil) // what is lost or counts twice stays so
		w.judgeFate(i, &f)
		i.change(view.MerchandiseOnly)
		if e.subject.KeepsHistory {
			w.judgeFate(i, &f)
		} else { // the log is read anew, without a crash
			w.finish(i)
		}
		i.stop()
		e.Logf("%s, %d partitions, crashed twice at %s: lost %d, duplicated %d", e.subject.Guarantee, w.partitions, e.subject.BetweenCommits, len(f.lost), len(f.again))
	}
}

// crashBetween lets everything sent so far be committed, crashes at the next
// commit, which has lines to commit, and finds out what became of them.
func (w *world) crashBetween(f *fate) {
	e := w.e
	e.Helper()
	faults := fault.NewSet()
	i := w.start(faults)
	if !i.covers(w.history().End()) || !i.settles() {
		e.Fatalf("it ended before the crash: %v", i.err)
	}
	before := i.Status().Committed
	faults.CrashAt(e.subject.BetweenCommits, 1)
	var lines []oracletest.Record
	for range 30 {
		lines = append(lines, w.maker.Line())
	}
	w.append(w.byLand(lines))
	if err := i.wait(); !errors.Is(err, fault.ErrCrash) || !strings.Contains(err.Error(), e.subject.BetweenCommits) {
		e.Fatalf("it ended with %v, want a crash at %s", err, e.subject.BetweenCommits)
	}
	sent := w.history().End()
	i = w.start(nil)
	resumed := i.opened
	if !i.covers(sent) {
		e.Fatalf("it ended after the crash: %v", i.err)
	}
	switch e.subject.Guarantee {
	case architecture.AtMostOnce:
		w.findLost(f, before, resumed)
	default:
		w.findRepeated(f, i, before, resumed)
	}
	i.stop()
}

// findLost adds what lies between the offsets before and after the crash.
func (w *world) findLost(f *fate, before, resumed coverage.Coverage) {
	w.e.Helper()
	lines := 0
	for _, r := range w.placed() {
		if !within(r, resumed) || within(r, before) {
			continue
		}
		f.lost = append(f.lost, r)
		if !r.Customers {
			lines++
		}
	}
	if lines == 0 || !resumed.AtLeast(before) {
		w.e.Errorf("offsets %s were committed before the crash and %s at it: no line lies between", before, resumed)
	}
}

// findRepeated counts how many lines of each partition count more often than they
// were sent. As every commit holds a prefix, these are the first behind the
// offsets that were committed before the crash.
func (w *world) findRepeated(f *fate, i *instance, before, resumed coverage.Coverage) {
	e := w.e
	e.Helper()
	if !resumed.Equal(before) {
		e.Errorf("offsets %s were committed before the crash, it went on from %s", before, resumed)
	}
	q := view.Query{View: view.RevenueByCountry}
	h := w.historyWith(f)
	want, err := h.BoundedAnswer(h.End(), nil, view.EveryLine, w.params, q)
	if err != nil {
		e.Fatalf("%v", err)
	}
	more := w.linesOf(i.ask(q).a.Rows)
	for p, n := range w.linesOf(want) {
		more[p] -= n
	}
	found := 0
	for _, r := range w.placed() {
		if p := r.Partition; !r.Customers && !within(r, before) && more[p] > 0 {
			more[p]--
			found++
			f.again = append(f.again, r)
		}
	}
	if found == 0 || slices.ContainsFunc(more, func(n int64) bool { return n != 0 }) {
		e.Errorf("%d lines count twice; by partition, so many that were not sent after the last commit: %v", found, more)
	}
}

// within reports whether a coverage includes the record.
func within(r oracletest.Placed, at coverage.Coverage) bool {
	if r.Customers {
		return r.Offset < at.Customers[r.Partition]
	}
	return r.Offset < at.Orders[r.Partition]
}

// byLand gives usable lines the country of their partition, so that
// revenue_by_country tells the partitions apart.
func (w *world) byLand(records []oracletest.Record) []oracletest.Record {
	d := event.NewDecoder()
	for n := range records {
		r := &records[n]
		var l event.OrderLine
		if r.Customers || d.Order(r.Value, &l) != nil {
			continue
		}
		l.Country = fmt.Sprint(eventlog.Partition(r.Key, w.partitions))
		r.Value = event.AppendOrder(nil, &l)
	}
	return records
}

// linesOf sums the lines of revenue_by_country by partition.
func (w *world) linesOf(rows []view.Row) []int64 {
	lines := make([]int64, w.partitions)
	for _, r := range rows {
		p, err := strconv.Atoi(r.Text)
		if err != nil || p >= w.partitions {
			w.e.Fatalf("a row of country %q, want the number of a partition", r.Text)
		}
		lines[p] += r.Num[1]
	}
	return lines
}

// historyWith is the oracle's word on everything sent, less what is lost and with
// what counts again.
func (w *world) historyWith(f *fate) *oracle.History {
	type place struct {
		customers bool
		partition int
		offset    int64
	}
	lost := map[place]bool{}
	for _, r := range f.lost {
		lost[place{r.Customers, r.Partition, r.Offset}] = true
	}
	placed := w.placed()
	for n := range placed {
		if r := &placed[n]; lost[place{r.Customers, r.Partition, r.Offset}] {
			r.Value = nil
		}
	}
	next := w.history().End().Orders
	for _, r := range f.again {
		r.Offset = next[r.Partition]
		next[r.Partition]++
		placed = append(placed, r)
	}
	return w.historyOf(placed)
}

// judgeFate waits until everything sent is covered and demands the views that the
// crashes left, to the row.
func (w *world) judgeFate(i *instance, f *fate) {
	w.e.Helper()
	if !i.covers(w.history().End()) {
		w.e.Fatalf("it ended before it covered the log: %v", i.err)
	}
	h := w.historyWith(f)
	for _, x := range i.askAll(w.e.rng, 10) {
		want, err := h.BoundedAnswer(h.End(), nil, x.a.Rules, w.params, x.q)
		if err != nil {
			w.e.Fatalf("%v", err)
		}
		if d := w.diff(x, want); d.Any() {
			w.e.Errorf("%s under rules %d with %d records lost and %d lines repeated: %+v\nquestion %s\n got %s\nwant %s",
				x.q.View, x.a.Rules, len(f.lost), len(f.again), d, describe(x.q), first(x.a.Rows), first(want))
		}
	}
}

// crashDuringReprocess crashes between the commits while a reprocess runs. It goes
// on after the crash, and the guarantee holds for its views.
func crashDuringReprocess(e *env) {
	const tries = 10
	for range tries {
		w := e.world(2)
		w.lateness = neverLate
		w.grow(60)
		faults := fault.NewSet()
		i := w.start(faults)
		if !i.covers(w.history().End()) || !i.settles() {
			e.Fatalf("it ended before the crash: %v", i.err)
		}
		faults.CrashAt(e.subject.BetweenCommits, 1)
		w.append([]oracletest.Record{w.maker.Line(), w.maker.Line(), w.maker.Line()})
		if _, err := i.Reprocess(e.ctx, view.MerchandiseOnly); err != nil && !errors.Is(err, fault.ErrCrash) && !i.crashed() {
			e.Fatalf("reprocess: %v", err)
		}
		if err := i.wait(); !errors.Is(err, fault.ErrCrash) {
			e.Fatalf("it ended with %v, want a crash", err)
		}
		during := i.Status().Reprocess
		i = w.start(nil)
		w.judgeCrashed(i.askAll(e.rng, 0))
		for _, r := range []view.Rules{view.MerchandiseOnly, view.EveryLine} {
			i.change(r)
			w.grow(20)
			w.finishCrashed(i)
		}
		i.stop()
		if during != nil && during.Running {
			return
		}
	}
	e.Errorf("in %d tries the crash never came while the reprocess ran", tries)
}

// finishCrashed is finish for a subject that crashed anywhere.
func (w *world) finishCrashed(i *instance) {
	w.e.Helper()
	if !w.e.lesser() {
		w.finish(i)
		return
	}
	if !i.covers(w.history().End()) {
		w.e.Fatalf("it ended before it covered the log: %v", i.err)
	}
	w.judgeCrashed(i.askAll(w.e.rng, 0))
}

// judgeCrashed is judge for a subject that crashed anywhere. Under a lesser
// guarantee the crash may show, in one direction: at-most-once counts no line more
// often than it was sent, at-least-once none less often.
func (w *world) judgeCrashed(as []answered) {
	w.e.Helper()
	if !w.e.lesser() {
		w.judge(as)
		return
	}
	h := w.history()
	for _, x := range as {
		if x.q != (view.Query{View: view.RevenueByCountry}) {
			continue
		}
		rows, err := h.BoundedAnswer(x.a.Coverage, nil, x.a.Rules, w.params, x.q)
		if err != nil {
			w.e.Fatalf("%v", err)
		}
		got, want := linesByKey(x.a.Rows), linesByKey(rows)
		less, more := got, want
		if w.e.subject.Guarantee == architecture.AtLeastOnce {
			less, more = want, got
		}
		for key, n := range less {
			if n > more[key] {
				w.e.Errorf("%s: %d lines of %v at %s, the log has %d", w.e.subject.Guarantee, got[key], key, x.a.Coverage, want[key])
			}
		}
	}
}

type countryWindow struct {
	start   int64
	country string
}

func linesByKey(rows []view.Row) map[countryWindow]int64 {
	lines := map[countryWindow]int64{}
	for _, r := range rows {
		lines[countryWindow{r.Num[0], r.Text}] += r.Num[1]
	}
	return lines
}

// otherGuarantee opens a directory under every guarantee but its own.
func otherGuarantee(e *env) {
	if !e.lesser() {
		return // nor does another policy go with it; the lesser ones try both ways
	}
	w := ingested(e, 1)
	own := e.subject.Guarantee
	for _, g := range architecture.Guarantees() {
		if g == own {
			continue
		}
		e.subject.Guarantee = g
		i, err := w.tryStart(nil)
		if err == nil {
			i.stop()
		}
		if !errors.As(err, new(*datadir.Refused)) || !strings.Contains(err.Error(), "guarantee "+string(own)) {
			e.Errorf("state built under %s, opened under %s: %v, want a refusal that names the former", own, g, err)
		}
	}
}
