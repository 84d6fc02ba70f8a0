package conformance

import (
	"fmt"
	"math/rand/v2"
	"time"

	"archbench/common/coverage"
	"archbench/common/event"
	"archbench/common/oracle"
	"archbench/common/oracle/oracletest"
	"archbench/common/view"
)

// truth is what an answer must hold by the definitions that the subject keeps to.
func (w *world) truth(h *oracle.History, x answered) ([]view.Row, error) {
	switch {
	case w.e.subject.bounded():
		return h.BoundedAnswer(x.a.Coverage, x.a.Seam, x.a.Rules, w.params, x.q)
	case w.e.lesser():
		return h.BoundedAnswer(x.a.Coverage, &x.a.Coverage, x.a.Rules, w.params, x.q)
	}
	return h.Answer(x.a.Coverage, x.a.Rules, w.params, x.q)
}

// diff compares an answer with the rows that it must have. Under policy bounded
// two views are bound less: of revenue_by_segment the guests and the totals of each
// window, since when a profile became known is nowhere written down (the case
// "a segment stays as it was known" controls it); and distinct_customers is an
// estimate, which for as few customers as the worlds have is exact.
func (w *world) diff(x answered, want []view.Row) view.Difference {
	got, schema := x.a.Rows, x.q.View.Schema()
	if w.e.subject.bounded() {
		switch {
		case x.q.View == view.RevenueBySegment && x.q.Limit > 0:
			return view.Difference{} // where it cuts depends on the segments that there are
		case x.q.View == view.RevenueBySegment:
			got, want = totals(schema, got), totals(schema, want)
		}
	}
	return view.Diff(schema, got, want)
}

// totals sums the rows of revenue_by_segment into those of guests and of others.
func totals(schema view.Schema, rows []view.Row) []view.Row {
	type key struct {
		window int64
		text   string
	}
	sums := map[key]view.Row{}
	for _, r := range rows {
		k := key{r.Num[0], "others"}
		if r.Text == "guest" {
			k.text = r.Text
		}
		s := sums[k]
		sums[k] = view.Row{Text: k.text, Num: [view.MaxNums]int64{k.window, s.Num[1] + r.Num[1], s.Num[2] + r.Num[2]}}
	}
	var out []view.Row
	for _, r := range sums {
		out = append(out, r)
	}
	schema.Sort(out)
	return out
}

// latenessEdges puts lines on, just before and just behind the allowed lateness,
// and ids just before and behind their expiry. It stops and starts between any two
// of them: watermark and ids must survive.
func latenessEdges(e *env) {
	if !e.subject.bounded() {
		return
	}
	for _, restarts := range []bool{false, true} {
		w := e.world(1)
		w.lateness = 10 * time.Minute
		i := w.start(nil)
		for n, r := range edgesOfLateness(w.lateness.Milliseconds()) {
			w.append([]oracletest.Record{r})
			if !restarts {
				continue
			}
			if !i.covers(w.history().End()) {
				e.Fatalf("it ended before it covered the log: %v", i.err)
			}
			w.judge([]answered{i.ask(view.Query{View: view.CustomerSessions})})
			if n%2 == 0 {
				i.stop()
				i = w.start(nil)
			}
		}
		w.finish(i)
		w.checkCounts(i)
		i.stop()
		i = w.start(nil)
		w.checkCounts(i)
		i.stop()
	}
}

// edgesOfLateness are lines of one partition, an hour and a half from the first to
// the last.
func edgesOfLateness(lateness int64) []oracletest.Record {
	const minute = 60_000
	start := int64(90 * minute)
	excluded := func(id string, at int64) oracletest.Record { // under rules 2
		l := event.OrderLine{Version: 1, EventID: id, OrderID: id, Kind: event.Sale, CustomerID: 7, Country: "France", StockCode: "POST", Quantity: 1, UnitPriceMilli: 100, EventTimeMS: newYear + at}
		return oracletest.Record{Key: event.AppendKey(nil, &l), Value: event.AppendOrder(nil, &l)}
	}
	var rs []oracletest.Record
	add := func(r oracletest.Record) { rs = append(rs, r) }
	add(line("a", 7, start, 1_000))
	for n, off := range []int64{-lateness - 1, -lateness, -lateness + 1, 0, 1} {
		add(line(fmt.Sprint("b", n), 7, start+off, 10_000))
	}
	add(line("a", 7, start, 1_000)) // known: on the edge of nothing
	start++                         // b4 moved the watermark
	add(line("c", 7, start+lateness-1, 2_000))
	add(line("a", 7, start+lateness-1, 3_000)) // a is on the edge: still known
	add(line("d", 7, start+lateness, 4_000))
	add(line("a", 7, start+lateness, 5_000))     // forgotten: claims its id anew
	add(line("a", 7, start+lateness, 5_000))     // and is known again
	add(line("late", 7, start-1, 6_000))         // late: claims nothing
	add(line("late", 7, start+lateness, 7_000))  // so this is the first
	add(line("c", 7, start+20*minute, 8_000))    // a conflict moves the watermark
	add(line("e", 7, start+lateness-1, 9_000))   // late because of it, with ten minutes
	add(excluded("f", start+40*minute))          // what rules leave out moves it too
	add(line("g", 7, start+30*minute-1, 11_000)) // late because of it
	add(line("late", 7, start+90*minute, 12_000))
	return rs
}

// processingTimeJoin sends lines and profile changes one at a time, so that it is
// known what was known when. Up to a seam the exact definitions hold.
func processingTimeJoin(e *env) {
	if !e.subject.bounded() {
		return // profiles tries the exact join
	}
	const hour = 3_600_000
	w := e.world(1)
	w.params, w.lateness = view.DefaultParams(), 100*time.Hour
	i := w.start(nil)
	for n, r := range []oracletest.Record{
		line("a", 1, 5*hour+1, 100), profile(1, 0, "consumer"), line("b", 1, 5*hour+2, 100), profile(1, 5*hour+1, "vip"), line("c", 1, 5*hour+3, 100),
		line("d", 1, 6*hour, 100), profile(1, 5*hour, "business"), line("e", 1, 5*hour+4, 100), profile(1, 6*hour, ""), line("f", 1, 6*hour+1, 100),
		line("g", 1, 7*hour, 100), profile(1, 6*hour, "wholesale"), line("h", 1, 7*hour+1, 100), line("i", 0, 7*hour+2, 100), line("j", 2, 7*hour+3, 100),
	} {
		w.append([]oracletest.Record{r})
		if !i.covers(w.history().End()) {
			e.Fatalf("it ended before it covered the log: %v", i.err)
		}
		if n == 9 && !e.subject.HasSeam { // what was joined is kept; a seam moves meanwhile, and joins anew
			i.stop()
			i = w.start(nil)
		}
		x := i.ask(view.Query{View: view.RevenueBySegment})
		if d := view.Diff(x.q.View.Schema(), x.a.Rows, w.segmentsAsKnown(x.a.Seam)); d.Any() {
			e.Errorf("after %d records, seam %s: %+v\n got %s\nwant %s", n+1, x.a.Seam, d, first(x.a.Rows), first(w.segmentsAsKnown(x.a.Seam)))
		}
	}
	w.finish(i)
	i.stop()
}

// segmentsAsKnown is revenue_by_segment of a world of one partition where each
// record was covered before the next was sent and all lines are sales in time.
func (w *world) segmentsAsKnown(seam *coverage.Coverage) []view.Row {
	size, exact := w.params.Segment.Milliseconds(), coverage.Zero(1)
	if seam != nil {
		exact = *seam
	}
	d := event.NewDecoder()
	var known, joined []event.ProfileChange // so far; of those, what the seam covers
	placed := oracletest.Place(w.sent, 1)
	for _, r := range placed {
		var c event.ProfileChange
		if r.Customers && r.Offset < exact.Customers[0] && d.Profile(r.Value, &c) == nil {
			joined = append(joined, c)
		}
	}
	sums := map[view.Row]view.Row{}
	for _, r := range placed {
		var l event.OrderLine
		var c event.ProfileChange
		if r.Customers {
			if d.Profile(r.Value, &c) == nil {
				known = append(known, c)
			}
			continue
		}
		if d.Order(r.Value, &l) != nil {
			continue
		}
		with := known
		if r.Offset < exact.Orders[0] {
			with = joined
		}
		k := view.Row{Num: [view.MaxNums]int64{view.WindowStart(l.EventTimeMS, size)}}
		k.Text = segmentAsOf(with, l.CustomerID, k.Num[0])
		s := sums[k]
		sums[k] = view.Row{Text: k.Text, Num: [view.MaxNums]int64{k.Num[0], s.Num[1] + 1, s.Num[2] + l.AmountMilli()}}
	}
	var rows []view.Row
	for _, r := range sums {
		rows = append(rows, r)
	}
	view.RevenueBySegment.Schema().Sort(rows)
	return rows
}

// segmentAsOf joins with changes in the order in which they came.
func segmentAsOf(changes []event.ProfileChange, customer, instant int64) string {
	if customer == 0 {
		return "guest"
	}
	segment, from := "unknown", int64(-1)
	for _, c := range changes {
		if c.CustomerID == customer && c.ValidFromMS <= instant && c.ValidFromMS >= from {
			segment, from = c.Segment, c.ValidFromMS
			if c.Deleted {
				segment = "unknown"
			}
		}
	}
	return segment
}

// closedWindows lets event time run far ahead, so that most windows and sessions
// are behind any lateness, and asks for them: before, while and after they are
// committed, after a restart, and under other rules.
func closedWindows(e *env) {
	if !e.subject.bounded() {
		return
	}
	w := e.world(2)
	w.lateness = time.Duration(e.rng.Int64N(60_000)) * time.Millisecond
	i := w.start(nil)
	ask := func() {
		var as []answered
		rng := rand.New(rand.NewPCG(e.seed, uint64(len(w.sent))))
		for range e.rounds(40) {
			as = append(as, i.ask(oracletest.Query(rng)))
		}
		w.judge(as)
	}
	for range 6 {
		w.grow(60)
		if !i.covers(w.history().End()) {
			e.Fatalf("it ended before it covered the log: %v", i.err)
		}
		ask()
		if !i.settles() {
			e.Fatalf("it ended before it committed: %v", i.err)
		}
		ask()
		if e.rng.IntN(2) == 0 {
			i.stop()
			i = w.start(nil)
			ask()
		}
	}
	i.change(view.MerchandiseOnly)
	w.finish(i)
	ask()
	w.checkCounts(i)
	i.stop()
}
