package conformance

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"archbench/common/architecture"
	"archbench/common/event"
	"archbench/common/oracle/oracletest"
	"archbench/common/view"
)

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
