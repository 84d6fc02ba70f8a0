package conformance

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"archbench/common/architecture"
	"archbench/common/coverage"
	"archbench/common/event"
	"archbench/common/eventlog"
	"archbench/common/fault"
	"archbench/common/oracle/oracletest"
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

// change asks for rules until they are served, whatever was under way.
func (i *instance) change(r view.Rules) {
	i.e.Helper()
	ctx, cancel := context.WithTimeout(i.e.ctx, i.e.patience)
	defer cancel()
	for {
		before := i.Coverage().Latest()
		outcome, err := i.Reprocess(ctx, r)
		switch {
		case err != nil:
			i.e.Fatalf("reprocess to rules %d: %v", r, err)
		case outcome == architecture.Served:
			return
		case outcome == architecture.Started:
			if !i.serves(r, coverage.Coverage{Orders: before.Coverage.Orders, Customers: before.Coverage.Customers}) {
				i.e.Fatalf("it ended during a reprocess: %v", i.err)
			}
			return
		}
		select { // busy: another reprocess, resumed after the crash, comes to its end
		case <-time.After(5 * time.Millisecond):
		case <-i.done:
			i.e.Fatalf("it ended during a reprocess: %v", i.err)
		case <-ctx.Done():
			i.e.Fatalf("a reprocess stayed busy for %v: %+v", i.e.patience, i.Status())
		}
	}
}

func sameForAnyBatching(e *env) {
	for range e.rounds(2) {
		records := oracletest.NewMaker(e.rng).Make(120)
		params := oracletest.Params(e.rng)
		lateness := oracletest.Lateness(e.rng)
		var reference []answered
		for _, partitions := range []int{1, 3, 4} {
			if e.subject.bounded() {
				partitions = 3 // which lines are late depends on it
			}
			w := e.world(partitions)
			w.params, w.lateness = params, lateness
			i := w.start(nil)
			for at := 0; at < len(records); {
				n := min(1+e.rng.IntN(1+at/2), len(records)-at)
				w.append(records[at : at+n])
				at += n
				if e.rng.IntN(4) == 0 {
					i.covers(w.history().End())
				}
			}
			w.finish(i)
			answers := i.askAll(rand.New(rand.NewPCG(e.seed, 9)), 10)
			i.stop()
			if reference == nil {
				reference = answers
				continue
			}
			if e.subject.bounded() && e.subject.HasSeam {
				continue // what is dropped depends on the seam; it was judged
			}
			for n, x := range answers {
				if d := w.diff(x, reference[n].a.Rows); d.Any() {
					e.Errorf("%s differs between one batching and another, of %d partitions: %+v", describe(x.q), partitions, d)
				}
			}
		}
	}
}

func smallHistories(e *env) {
	m := oracletest.NewMaker(e.rng)
	for name, records := range map[string][]oracletest.Record{
		"nothing":               nil,
		"one line":              {m.Line()},
		"one profile":           {m.Profile()},
		"unusable records only": {m.Unusable(), m.Unusable(), m.Unusable()},
		"one key":               oneKey(),
	} {
		w := e.world(4)
		i := w.start(nil)
		w.append(records)
		w.finish(i)
		i.stop()
		i = w.start(nil)
		w.finish(i)
		i.stop()
		if e.Failed() {
			e.Fatalf("history of %s", name)
		}
	}
}

// oneKey is lines of one customer: all other partitions stay idle.
func oneKey() []oracletest.Record {
	var rs []oracletest.Record
	for n := range 30 {
		rs = append(rs, line(fmt.Sprint("k", n), 17, int64(n)*7*60_000, 500_000))
	}
	return rs
}

// line is a sale at so many ms after 2025-01-01.
func line(id string, customer, at, price int64) oracletest.Record {
	l := event.OrderLine{Version: 1, EventID: id, OrderID: id, Kind: event.Sale, CustomerID: customer, Country: "France", StockCode: "22423",
		Quantity: 1, UnitPriceMilli: price, EventTimeMS: newYear + at}
	return oracletest.Record{Key: event.AppendKey(nil, &l), Value: event.AppendOrder(nil, &l)}
}

func profile(customer, at int64, segment string) oracletest.Record {
	c := event.ProfileChange{Version: 1, CustomerID: customer, Segment: segment, Deleted: segment == "", ValidFromMS: newYear + at}
	return oracletest.Record{Customers: true, Key: strconv.AppendInt(nil, customer, 10), Value: event.AppendProfile(nil, &c)}
}

// edges puts lines just before, on and just after every place where a window or
// a session begins or ends.
func edges(e *env) {
	w := e.world(1)
	i := w.start(nil)
	n := 0
	at := func(customer, ms int64) {
		n++
		w.append([]oracletest.Record{line(fmt.Sprint("edge", n), customer, ms, 100_000)})
	}
	p := w.params
	for _, size := range []time.Duration{p.Tumbling, p.HopSize, p.HopSlide, p.Top, p.Segment, p.Distinct, p.Alert} {
		start := view.WindowStart(newYear+3*size.Milliseconds(), size.Milliseconds()) - newYear
		for _, off := range []int64{-1, 0, 1} {
			at(1, start+off)
			at(2, start+size.Milliseconds()+off)
		}
	}
	gap := p.SessionGap.Milliseconds()
	for customer, steps := range map[int64][]int64{3: {gap}, 4: {gap + 1}, 5: {gap - 1}, 6: {2 * gap, gap}, 7: {2*gap + 1, gap}} {
		at(customer, 0)
		for _, step := range steps {
			at(customer, step)
		}
	}
	w.finish(i)
	i.stop()
}

const newYear = 1_735_689_600_000

// profiles sends changes after the lines they correct, one at a time.
func profiles(e *env) {
	w := e.world(2)
	w.params = view.DefaultParams()
	const hour = 3_600_000
	i := w.start(nil)
	for _, r := range []oracletest.Record{
		line("a", 1, 5*hour+1, 100), line("b", 1, 9*hour+1, 100), line("c", 2, 5*hour+1, 100),
		profile(1, 0, "consumer"), profile(1, 9*hour, "vip"), profile(2, 5*hour, ""), profile(1, 5*hour, "business"),
		profile(1, 9*hour, "wholesale"), profile(2, 6*hour, "vip"), line("d", 2, 6*hour, 100), profile(1, 5*hour, ""), profile(1, 5*hour+1, "vip"),
	} {
		w.append([]oracletest.Record{r})
		i.covers(w.history().End())
		w.judge([]answered{i.ask(view.Query{View: view.RevenueBySegment})})
	}
	w.finish(i)
	i.stop()
}

func deadLetters(e *env) {
	w := e.world(3)
	i := w.start(nil)
	for _, v := range oracletest.UnusableOrders() {
		w.append([]oracletest.Record{{Key: []byte("7"), Value: v}, w.maker.Line()})
	}
	for _, v := range oracletest.UnusableProfiles() {
		w.append([]oracletest.Record{{Customers: true, Key: []byte("7"), Value: v}})
	}
	long := make([]byte, event.MaxValueBytes+1)
	for n := range long {
		long[n] = 'x'
	}
	w.append([]oracletest.Record{{Key: []byte("8"), Value: long}, w.maker.Line()})
	w.grow(30)
	w.finish(i)
	// A reprocess goes over all of them again while more come; none gets a second letter.
	for _, r := range []view.Rules{view.MerchandiseOnly, view.EveryLine} {
		if o, err := i.Reprocess(e.ctx, r); err != nil || o != architecture.Started {
			e.Fatalf("reprocess to rules %d: outcome %d, %v", r, o, err)
		}
		for range 25 {
			w.append([]oracletest.Record{w.maker.Unusable(), w.maker.Line(), w.maker.Unusable()})
		}
		if !i.serves(r, w.history().End()) {
			e.Fatalf("it ended during a reprocess: %v", i.err)
		}
		w.finish(i)
	}
	w.checkCounts(i)
	i.stop()
	w.checkDeadLetters(once)
	i = w.start(nil)
	w.finish(i)
	w.checkCounts(i)
	i.stop()
	w.checkDeadLetters(once)
}

// checkCounts holds what the status counts, at its own coverage, against the oracle.
func (w *world) checkCounts(i *instance) {
	w.e.Helper()
	s, h := i.Status(), w.history()
	count := h.Counts
	if w.e.subject.bounded() || w.e.lesser() {
		count = h.BoundedCounts
	}
	want, err := count(s.Coverage)
	if err != nil {
		w.e.Fatalf("%v", err)
	}
	if !w.e.subject.bounded() {
		want.Late = 0
	}
	if s.Unusable != want.Unusable || s.Duplicate != want.Duplicate || s.Conflicting != want.Conflict || s.Late != want.Late {
		w.e.Errorf("status counts unusable %d, duplicate %d, conflict %d, late %d; the oracle counts %+v (lateness %v)",
			s.Unusable, s.Duplicate, s.Conflicting, s.Late, want, w.lateness)
	}
}

// Where nothing crashed, an unusable record has one letter; a crash may repeat it.
const (
	once     = false
	repeated = true
)

// checkDeadLetters holds the queue against what was sent: each unusable record
// once, or at least once if it may be repeated, unchanged, and nothing else.
func (w *world) checkDeadLetters(mayRepeat bool) {
	w.e.Helper()
	type place struct {
		topic     string
		partition int
		offset    int64
	}
	want := map[place]oracletest.Placed{}
	d := event.NewDecoder()
	for _, r := range oracletest.Place(w.sent, w.partitions) {
		var l event.OrderLine
		var c event.ProfileChange
		switch {
		case r.Customers && d.Profile(r.Value, &c) != nil:
			want[place{w.topics.Customers, r.Partition, r.Offset}] = r
		case !r.Customers && d.Order(r.Value, &l) != nil:
			want[place{w.topics.Orders, r.Partition, r.Offset}] = r
		}
	}
	got := map[place]int{}
	for p := range w.partitions {
		_, end, err := w.log.Bounds(w.e.ctx, w.topics.DLQ, p)
		if err != nil {
			w.e.Fatalf("bounds of the dead-letter queue: %v", err)
		}
		for o := range end {
			r, err := w.log.Fetch(w.e.ctx, w.topics.DLQ, p, o)
			if err != nil {
				w.e.Fatalf("fetch from the dead-letter queue: %v", err)
			}
			h := map[string]string{}
			for _, header := range r.Headers {
				h[header.Key] = string(header.Value)
			}
			partition, err1 := strconv.Atoi(h["source-partition"])
			offset, err2 := strconv.ParseInt(h["source-offset"], 10, 64)
			at := place{h["source-topic"], partition, offset}
			source, ok := want[at]
			if err1 != nil || err2 != nil || !ok || h["error"] == "" {
				w.e.Errorf("a dead letter names %v, error %q: no such unusable record", at, h["error"])
				continue
			}
			if string(source.Key) != string(r.Key) || string(source.Value) != string(r.Value) {
				w.e.Errorf("dead letter %v was changed: key %q, %d bytes; sent was key %q, %d bytes", at, r.Key, len(r.Value), source.Key, len(source.Value))
			}
			got[at]++
		}
	}
	for at := range want {
		switch n := got[at]; {
		case n == 0:
			w.e.Errorf("unusable record %v is not in the dead-letter queue", at)
		case n > 1 && !mayRepeat:
			w.e.Errorf("unusable record %v is in the dead-letter queue %d times", at, n)
		}
	}
}

func rulesBackAndForth(e *env) {
	for range e.rounds(2) {
		w := e.world(1 + e.rng.IntN(3))
		i := w.start(nil)
		stop, _ := i.read(1)
		w.grow(60)
		i.covers(w.history().End())
		for n, r := range []view.Rules{view.MerchandiseOnly, view.EveryLine, view.MerchandiseOnly, view.EveryLine} {
			if outcome, err := i.Reprocess(e.ctx, r); err != nil || outcome != architecture.Started {
				e.Fatalf("reprocess to rules %d: outcome %d, %v", r, outcome, err)
			}
			w.grow(25)
			if n == 2 { // a restart in the middle: the reprocess goes on by itself
				w.judge(stop())
				i.stop()
				i = w.start(nil)
				stop, _ = i.read(1)
			}
			w.grow(25)
			if !i.serves(r, w.history().End()) {
				e.Fatalf("it ended during a reprocess: %v", i.err)
			}
			w.finish(i)
		}
		w.judge(stop())
		i.stop()
		i = w.start(nil) // the rules that were switched to are durable
		if got := i.ask(view.Query{View: view.TopProducts}).a.Rules; got != view.EveryLine {
			e.Errorf("after a restart rules %d are served, 1 were switched to", got)
		}
		w.finish(i)
		i.stop()
	}
}

func outcomes(e *env) {
	w := e.world(2)
	w.grow(50)
	i := w.start(nil)
	i.covers(w.history().End())
	if o, err := i.Reprocess(e.ctx, view.EveryLine); o != architecture.Served || err != nil {
		e.Errorf("asking for the rules that are served: outcome %d, %v", o, err)
	}
	if o, err := i.Reprocess(e.ctx, view.MerchandiseOnly); o != architecture.Started || err != nil {
		e.Errorf("asking for other rules: outcome %d, %v", o, err)
	}
	// It may be done already; if it runs, a second one is refused.
	if o, err := i.Reprocess(e.ctx, view.MerchandiseOnly); o != architecture.Busy && o != architecture.Served || err != nil {
		e.Errorf("asking again: outcome %d, %v", o, err)
	}
	if !i.serves(view.MerchandiseOnly, w.history().End()) {
		e.Fatalf("it ended during a reprocess: %v", i.err)
	}
	w.finish(i)
	if p := i.Status().Reprocess; p == nil || !p.Switched || p.Rules != view.MerchandiseOnly || p.Running {
		e.Errorf("status of a reprocess that has switched: %+v", p)
	}
	i.stop()
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

// refused opens and runs the subject and returns the error that one of them must give.
func (w *world) refused() error {
	w.e.Helper()
	i, err := w.tryStart(nil)
	if err != nil {
		return err
	}
	if err = i.wait(); err == nil {
		w.e.Fatalf("it ran to a clean end where it had to refuse")
	}
	return err
}

// ingested is a world that was covered, committed and stopped.
func ingested(e *env, partitions int) *world {
	w := e.world(partitions)
	w.append([]oracletest.Record{w.maker.Line(), w.maker.Profile()}) // none of the topics stays empty
	w.grow(60)
	i := w.start(nil)
	w.finish(i)
	i.stop()
	return w
}

// inputTopic is orders or customers.
func (w *world) inputTopic(customers bool) string {
	if customers {
		return w.topics.Customers
	}
	return w.topics.Orders
}

func headGone(e *env) {
	for _, customers := range []bool{false, true} {
		w := ingested(e, 1)
		topic, one := w.inputTopic(customers), w.maker.Line
		if customers {
			one = w.maker.Profile
		}
		w.append([]oracletest.Record{one(), one(), one()})
		_, end, err := w.log.Bounds(e.ctx, topic, 0)
		if err != nil {
			e.Fatalf("bounds: %v", err)
		}
		if err := w.admin.Truncate(e.ctx, topic, 0, end-1); err != nil {
			e.Fatalf("truncate: %v", err)
		}
		var p *eventlog.PositionError
		if err := w.refused(); !errors.As(err, &p) || !p.Below() || p.Topic != topic {
			e.Errorf("%s: got %v, want an error that names the position below the log's start", topic, err)
		}
	}
}

func tailGone(e *env) {
	for _, customers := range []bool{false, true} {
		w := ingested(e, 1)
		topic := w.inputTopic(customers)
		if err := w.admin.Delete(e.ctx, topic); err != nil {
			e.Fatalf("delete: %v", err)
		}
		w.create(topic, 1)
		var p *eventlog.PositionError
		if err := w.refused(); !errors.As(err, &p) || p.Below() || p.Topic != topic {
			e.Errorf("%s: got %v, want an error that names the position beyond the log's end", topic, err)
		}
	}
}

// create makes a topic anew; a broker may take a moment to forget the old one.
func (w *world) create(topic string, partitions int) {
	w.e.Helper()
	for end := time.Now().Add(w.e.patience); ; {
		err := w.admin.Create(w.e.ctx, partitions, topic)
		if err == nil {
			return
		}
		if !errors.Is(err, eventlog.ErrTopicExists) || time.Now().After(end) {
			w.e.Fatalf("create %s: %v", topic, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func partitionsChanged(e *env) {
	w := ingested(e, 2)
	for _, topic := range []string{w.topics.Orders, w.topics.Customers} {
		if err := w.admin.Delete(e.ctx, topic); err != nil {
			e.Fatalf("delete: %v", err)
		}
		w.create(topic, 3)
	}
	var p *eventlog.PartitionsChangedError
	if err := w.refused(); !errors.As(err, &p) || p.Was != 2 || p.Is != 3 {
		e.Errorf("got %v, want an error that names 2 partitions before and 3 now", err)
	}
}

// partitionsAdded adds them under a running instance, which must stop with a
// sentence, and must not begin again.
func partitionsAdded(e *env) {
	for _, customers := range []bool{false, true} {
		w := e.world(2)
		w.grow(60)
		i := w.start(nil)
		w.finish(i)
		topic := w.inputTopic(customers)
		if err := w.admin.AddPartitions(e.ctx, topic, 3); err != nil {
			e.Fatalf("add partitions: %v", err)
		}
		var p *eventlog.PartitionsChangedError
		if err := i.wait(); !errors.As(err, &p) || p.Topic != topic || p.Was != 2 || p.Is != 3 {
			e.Errorf("%s: it ended with %v, want an error that names 2 partitions before and 3 now", topic, err)
		}
		if err := w.refused(); !strings.Contains(err.Error(), "has 3") {
			e.Errorf("%s: on a restart got %v, want an error that names 3 partitions", topic, err)
		}
	}
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

func headGoneBelow(e *env) {
	w := ingested(e, 1)
	for _, customers := range []bool{false, true} {
		if err := w.admin.Truncate(e.ctx, w.inputTopic(customers), 0, 1); err != nil {
			e.Fatalf("truncate: %v", err)
		}
	}
	i := w.start(nil)
	w.grow(30)
	w.finish(i)
	o, err := i.Reprocess(e.ctx, view.MerchandiseOnly)
	switch {
	case e.subject.KeepsHistory && (err != nil || o != architecture.Started):
		e.Errorf("it keeps the history, but a reprocess gave outcome %d, %v", o, err)
	case e.subject.KeepsHistory:
		if !i.serves(view.MerchandiseOnly, w.history().End()) {
			e.Fatalf("it ended during a reprocess: %v", i.err)
		}
	case !errors.Is(err, architecture.ErrHistoryGone):
		e.Errorf("the replay needs offset 0, but a reprocess gave outcome %d, %v", o, err)
	}
	w.finish(i)
	i.stop()
}

// redelivered sends every line three times, none of them late.
func redelivered(e *env) {
	w := e.world(2)
	if e.subject.Policy == architecture.Bounded {
		w.lateness = 100 * 365 * 24 * time.Hour
	}
	var lines []oracletest.Record
	for range 40 {
		lines = append(lines, w.maker.Line())
	}
	i := w.start(nil)
	for range 3 {
		w.append(lines)
		w.finish(i)
	}
	want := int64(2 * len(lines))
	if e.lesser() {
		want = 0
	}
	if got := i.Status().Duplicate; got != want {
		e.Errorf("%d duplicates were recognised, want %d", got, want)
	}
	i.stop()
	i = w.start(nil)
	w.append(lines) // across a restart too
	w.finish(i)
	i.stop()
}

func otherParameters(e *env) {
	w := ingested(e, 1)
	w.params.TopK++
	if i, err := w.tryStart(nil); err == nil {
		i.stop()
		e.Errorf("state built with other window parameters was taken over")
	}
}
