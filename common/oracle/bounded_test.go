package oracle_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"archbench/common/coverage"
	"archbench/common/event"
	"archbench/common/oracle"
	"archbench/common/oracle/oracletest"
	"archbench/common/view"

	"github.com/google/go-cmp/cmp"
)

// boundedBook is a book under policy bounded with ten minutes of allowed lateness.
func boundedBook(t *testing.T) *book {
	b := newBook(t)
	b.h = oracle.NewBoundedHistory(1, 10*time.Minute)
	return b
}

// kept demands that the lines of the ten o'clock hour that the policy keeps have
// these prices, which are powers of ten, in sum.
func (b *book) kept(sum int64, counts oracle.Counts) {
	b.t.Helper()
	p := b.params
	p.Tumbling = 24 * time.Hour
	rows, err := b.h.BoundedAnswer(b.end, nil, view.EveryLine, p, view.Query{View: view.RevenueByCountry})
	if err != nil {
		b.t.Fatal(err)
	}
	var got int64
	for _, r := range rows {
		got += r.Num[3]
	}
	if got != sum {
		b.t.Errorf("the lines kept sum up to %d, want %d", got, sum)
	}
	if got, err := b.h.BoundedCounts(b.end); err != nil || got != counts {
		b.t.Errorf("counts %+v %v, want %+v", got, err, counts)
	}
}

// A line is late if it lies more than the lateness before the greatest event time
// of the lines before it; the least bit less is in time.
func TestLateness(t *testing.T) {
	b := boundedBook(t)
	b.lines(
		sale(ten+20*minute, 1, 1, 1),
		sale(ten+10*minute, 1, 1, 10),    // on the edge
		sale(ten+10*minute-1, 1, 1, 100), // late
		sale(ten+20*minute+1, 1, 1, 1_000),
		sale(ten+10*minute, 1, 1, 10_000), // late by now
	)
	b.kept(1_011, oracle.Counts{Lines: 3, Late: 2})
	b.all(view.DistinctCustomers, row("France", ten, 1)) // the exact answers know nothing of it
	if got, err := b.h.Counts(b.end); err != nil || got != (oracle.Counts{Lines: 5}) {
		t.Errorf("exact counts %+v %v", got, err)
	}
}

// Duplicate and excluded lines move the watermark, unusable records do not, and
// neither does another partition. (A late line lies below it by definition.)
func TestWhatMovesTheWatermark(t *testing.T) {
	b := boundedBook(t)
	b.lines(
		called(sale(ten, 1, 1, 1), "a"),
		called(sale(ten+11*minute, 1, 1, 10), "a"), // a conflict, which counts nowhere
		sale(ten, 1, 1, 100),                       // late after it
	)
	b.kept(1, oracle.Counts{Lines: 1, Late: 1, Duplicate: 1, Conflict: 1})

	b = boundedBook(t)
	b.lines(of(sale(ten+11*minute, 1, 1, 10), "POST"), sale(ten, 1, 1, 100))
	b.kept(10, oracle.Counts{Lines: 1, Late: 1})

	b = boundedBook(t)
	b.raw([]byte(strings.Replace(string(value(called(sale(ten+11*minute, 1, 1, 10), "x"))), `"v":1`, `"v":9`, 1)))
	b.lines(sale(ten, 1, 1, 100))
	b.kept(100, oracle.Counts{Lines: 1, Unusable: 1})

	h := oracle.NewBoundedHistory(2, 0)
	h.AddOrder(0, 0, value(called(sale(ten+hour, 1, 1, 1), "a")))
	h.AddOrder(1, 0, value(called(sale(ten, 2, 1, 1), "b")))
	if got, err := h.BoundedCounts(h.End()); err != nil || got != (oracle.Counts{Lines: 2}) {
		t.Errorf("with two partitions: counts %+v %v", got, err)
	}
}

// An id is known as long as a line with the event time of its first would be in
// time; afterwards it can be claimed anew. A late line claims nothing.
func TestIDsExpire(t *testing.T) {
	b := boundedBook(t)
	b.lines(
		called(sale(ten, 1, 1, 1), "a"),
		sale(ten+10*minute, 1, 1, 10),
		called(sale(ten+10*minute, 1, 1, 100), "a"), // still known, on the edge
		sale(ten+10*minute+1, 1, 1, 1_000),
		called(sale(ten+10*minute, 1, 1, 10_000), "a"),   // forgotten: claims it anew
		called(sale(ten+10*minute, 1, 1, 10_000), "a"),   // known again
		called(sale(ten, 1, 1, 100_000), "b"),            // late: claims nothing
		called(sale(ten+9*minute, 1, 1, 1_000_000), "b"), // so this is the first
	)
	b.kept(1_011_011, oracle.Counts{Lines: 5, Late: 1, Duplicate: 2, Conflict: 1})
}

// Up to the seam the exact definitions hold, from there on the policy, whose
// watermark and ids run from offset 0.
func TestSeam(t *testing.T) {
	b := boundedBook(t)
	b.lines(
		sale(ten+30*minute, 1, 1, 1),
		sale(ten, 1, 1, 10),                             // late
		called(sale(ten+29*minute, 1, 1, 100), "a"),     // offset 2
		called(sale(ten+29*minute, 1, 1, 1_000), "a"),   // duplicate
		sale(ten+19*minute, 1, 1, 10_000),               // late, by a line below the seam
		called(sale(ten+28*minute, 1, 1, 100_000), "a"), // duplicate, of an id below the seam
	)
	for seam, want := range []int64{101, 101, 111, 111, 111, 10_111, 10_111} {
		s := coverage.Zero(1)
		s.Orders[0] = int64(seam)
		rows, err := b.h.BoundedAnswer(b.end, &s, view.EveryLine, b.params, view.Query{View: view.TopProducts})
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) != 1 || rows[0].Num[3] != want {
			t.Errorf("seam %d: %v, want %d in sum", seam, rows, want)
		}
	}
	beyond := coverage.Zero(1)
	beyond.Orders[0] = b.end.Orders[0] + 1
	for name, s := range map[string]coverage.Coverage{"beyond the coverage": beyond, "of another shape": coverage.Zero(2)} {
		if _, err := b.h.BoundedAnswer(b.end, &s, view.EveryLine, b.params, view.Query{View: view.TopProducts}); err == nil {
			t.Errorf("a seam %s is taken", name)
		}
	}
}

// A history that was not made for the policy does not make answers up.
func TestExactHistoryRefusesThePolicy(t *testing.T) {
	b := newBook(t)
	b.lines(sale(ten, 1, 1, 1))
	_, err := b.h.BoundedAnswer(b.end, nil, view.EveryLine, b.params, view.Query{View: view.TopProducts})
	_, err2 := b.h.BoundedCounts(b.end)
	if err == nil || err2 == nil {
		t.Errorf("answers under policy bounded: %v, counts: %v", err, err2)
	}
}

// On random histories the answer is that of an exact history that holds, in the
// place of every line that does not count, a record that is none.
func TestBoundedAnswerIsTheExactOneOfWhatIsKept(t *testing.T) {
	late, expired := 0, 0
	each(t, func(t *testing.T, rng *rand.Rand) {
		partitions := 1 + rng.IntN(3)
		lateness := oracletest.Lateness(rng)
		placed := oracletest.Place(oracletest.NewMaker(rng).Make(rng.IntN(300)), partitions)
		h := oracletest.BoundedHistory(placed, partitions, lateness)
		at := oracletest.Prefix(rng, h.End())
		seam := coverage.Min(at, oracletest.Prefix(rng, h.End()))
		l, e, kept := keptBy(placed, lateness.Milliseconds(), seam)
		late, expired = late+l, expired+e
		truth := oracletest.History(kept, partitions)
		for range 10 {
			p, q, r := oracletest.Params(rng), oracletest.Query(rng), view.Rules(1+rng.IntN(2))
			want, err := truth.Answer(at, r, p, q)
			if err != nil {
				t.Fatal(err)
			}
			got, err := h.BoundedAnswer(at, &seam, r, p, q)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got); d != "" && len(want)+len(got) > 0 {
				t.Fatalf("lateness %v, seam %s, at %s, query %+v: want - and got +: %s", lateness, seam, at, q, d)
			}
		}
	})
	if late == 0 || expired == 0 {
		t.Errorf("%d late lines and %d ids claimed anew: the histories do not try the policy", late, expired)
	}
}

// keptBy replays each partition and replaces what does not count. Lines that count
// get ids of their own, because an id may be claimed again.
func keptBy(placed []oracletest.Placed, lateness int64, seam coverage.Coverage) (late, expired int, kept []oracletest.Placed) {
	type id struct {
		partition int
		name      string
	}
	d := event.NewDecoder()
	watermark := map[int]int64{}
	exact, known := map[id]bool{}, map[id]int64{}
	for n, r := range placed {
		var l event.OrderLine
		if r.Customers || d.Order(r.Value, &l) != nil {
			kept = append(kept, r)
			continue
		}
		name := id{r.Partition, l.EventID}
		first := !exact[name]
		exact[name] = true
		mark, any := watermark[r.Partition]
		watermark[r.Partition] = max(mark, l.EventTimeMS)
		if !any {
			watermark[r.Partition] = l.EventTimeMS
		}
		counts := true
		claimed, taken := known[name]
		switch {
		case any && l.EventTimeMS < mark-lateness:
			counts = false
			late++
		case taken && claimed >= mark-lateness:
			counts = false
		default:
			if taken {
				expired++
			}
			known[name] = l.EventTimeMS
		}
		if r.Offset < seam.Orders[r.Partition] {
			counts = first
		}
		if counts {
			l.EventID += "#" + time.Duration(n).String()
			r.Value = event.AppendOrder(nil, &l)
		} else {
			r.Value = []byte("does not count")
		}
		kept = append(kept, r)
	}
	return late, expired, kept
}

// Without ids every line that is not late counts, however often its id came; up to
// a seam the late ones do too. The exact definitions recognise ids still.
func TestWithoutIDs(t *testing.T) {
	b := boundedBook(t)
	b.h.WithoutIDs()
	b.lines(
		called(sale(ten, 1, 1, 1), "a"),
		called(sale(ten, 1, 1, 1), "a"),
		called(sale(ten+11*minute, 1, 1, 10), "a"),
		called(sale(ten, 1, 1, 100), "b"), // late
		called(sale(ten, 1, 1, 100), "b"), // late
	)
	b.kept(12, oracle.Counts{Lines: 3, Late: 2})
	if got, err := b.h.Counts(b.end); err != nil || got != (oracle.Counts{Lines: 2, Duplicate: 3, Conflict: 1}) {
		t.Errorf("exact counts %+v %v", got, err)
	}
	for orders, want := range map[int64]int64{0: 12, 4: 112, 5: 212} {
		seam := b.end.Clone()
		seam.Orders[0] = orders
		rows, err := b.h.BoundedAnswer(b.end, &seam, view.EveryLine, b.params, view.Query{View: view.TopProducts})
		if err != nil || len(rows) != 1 || rows[0].Num[3] != want {
			t.Errorf("seam at %d: %v %v, want %d in sum", orders, rows, err, want)
		}
	}
}
