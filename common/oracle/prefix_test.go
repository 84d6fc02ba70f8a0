package oracle_test

import (
	"math"
	"strings"
	"testing"

	"archbench/common/coverage"
	"archbench/common/event"
	"archbench/common/oracle"
	"archbench/common/view"
)

func TestIdentity(t *testing.T) {
	b := newBook(t)
	b.raw([]byte(`{"v":1,"event_id":"a","order_id":"1","kind":"sale"}`)) // unusable: claims no id
	b.lines(
		called(sale(ten, 1, 1, 10), "a"),
		called(sale(ten, 1, 1, 10), "a"),        // a duplicate
		called(sale(ten+minute, 1, 9, 99), "a"), // a duplicate with other content
		called(sale(ten, 1, 1, 100), "b"),
	)
	b.all(view.RevenueByCountry, row("France", ten, 2, 2, 110, 0, 110))
	got, err := b.h.Counts(b.end)
	if want := (oracle.Counts{Lines: 2, Duplicate: 2, Conflict: 1, Unusable: 1}); err != nil || got != want {
		t.Errorf("counts %+v %v, want %+v", got, err, want)
	}
}

// What no rule reads makes no conflict: a producer that retries stamps it anew.
func TestRepeatedDeliveryIsNoConflict(t *testing.T) {
	b := newBook(t)
	first := called(sale(ten, 1, 1, 10), "a")
	again := first
	again.EmittedUS, again.Line = 5, 5
	b.lines(first, again)
	if got, err := b.h.Counts(b.end); err != nil || got.Duplicate != 1 || got.Conflict != 0 {
		t.Errorf("counts %+v %v", got, err)
	}
}

// A line that rules 2 leave out still claims its id.
func TestExcludedLineClaimsItsID(t *testing.T) {
	b := newBook(t)
	b.lines(of(called(sale(ten, 1, 1, 10), "a"), "POST"), of(called(sale(ten, 1, 1, 20), "a"), "22423"))
	b.expect(2, view.Query{View: view.RevenueByCountry})
	b.expect(1, view.Query{View: view.RevenueByCountry}, row("France", ten, 1, 1, 10, 0, 10))
}

func TestRules2(t *testing.T) {
	out := "POST DOT M C2 D S B PADS AMAZONFEE CRUK DCGS DCGS0003 DCGSSBOY GIFT_0001_ GIFT_0001_20"
	excluded := append(strings.Fields(out), strings.Fields(strings.ToLower(out))...)
	excluded = append(excluded, "BANK CHARGES", "bank charges", "Bank Charges")
	for _, code := range excluded {
		b := newBook(t)
		b.lines(of(sale(ten, 1, 1, 5_000_000), code))
		for _, v := range view.Names() {
			b.expect(2, view.Query{View: v})
		}
		b.all(view.TopProducts, row(code, ten, 1, 1, 5_000_000))
	}
	kept := map[string]string{
		"POST ": "POST ", " post": " POST", "POSTAGE": "POSTAGE", "MM": "MM", "DCG": "DCG", "xDCGS": "XDCGS", "GIFT_0001": "GIFT_0001",
		"GIFT_0002_1": "GIFT_0002_1", "BANK  CHARGES": "BANK  CHARGES", "85123a": "85123A", "é": "é", "ﬀ": "ﬀ", "ı": "ı", "c3": "C3",
	}
	for spelled, code := range kept {
		b := newBook(t)
		b.lines(of(sale(ten, 1, 1, 5), spelled))
		b.expect(2, view.Query{View: view.TopProducts}, row(code, ten, 1, 1, 5))
		b.expect(1, view.Query{View: view.TopProducts}, row(spelled, ten, 1, 1, 5))
	}
}

func TestRules2MergeSpellings(t *testing.T) {
	b := newBook(t)
	b.lines(of(sale(ten, 1, 1, 30), "85123A"), of(sale(ten, 1, 1, 30), "85123a"), of(sale(ten, 1, 1, 50), "22423"))
	b.expect(1, view.Query{View: view.TopProducts}, row("22423", ten, 1, 1, 50), row("85123A", ten, 2, 1, 30), row("85123a", ten, 3, 1, 30))
	b.expect(2, view.Query{View: view.TopProducts}, row("85123A", ten, 1, 2, 60), row("22423", ten, 2, 1, 50))
}

// Each partition of each topic has a prefix of its own.
func TestCoverage(t *testing.T) {
	h := oracle.NewHistory(2)
	add := func(part int, offset int64, l event.OrderLine) { h.AddOrder(part, offset, value(l)) }
	add(0, 0, called(sale(ten, 2, 1, 1), "a"))
	add(0, 3, called(sale(ten, 2, 1, 10), "b")) // offsets may be left out
	add(1, 0, called(sale(ten, 1, 1, 100), "a"))
	change := event.ProfileChange{Version: 1, CustomerID: 1, Segment: "vip", ValidFromMS: ten}
	h.AddCustomer(1, 0, event.AppendProfile(nil, &change))
	for _, c := range []struct {
		at   coverage.Coverage
		want []view.Row
	}{
		{at(0, 0, 0, 0), nil},
		{at(1, 0, 0, 0), []view.Row{row("unknown", ten, 1, 1)}},
		{at(3, 0, 0, 0), []view.Row{row("unknown", ten, 1, 1)}},
		{at(4, 0, 0, 0), []view.Row{row("unknown", ten, 2, 11)}},
		{at(4, 1, 0, 0), []view.Row{row("unknown", ten, 3, 111)}}, // an id of another partition is another line
		{at(4, 1, 0, 1), []view.Row{row("unknown", ten, 2, 11), row("vip", ten, 1, 100)}},
		{at(0, 1, 0, 1), []view.Row{row("vip", ten, 1, 100)}},
	} {
		got, err := h.Answer(c.at, 1, view.DefaultParams(), view.Query{View: view.RevenueBySegment})
		if d := view.Diff(view.RevenueBySegment.Schema(), got, c.want); err != nil || d.Any() {
			t.Errorf("at %s: %v %v, want %v", c.at, got, err, c.want)
		}
	}
	if !h.End().Equal(at(4, 1, 0, 1)) {
		t.Errorf("end %s", h.End())
	}
}

func at(o0, o1, c0, c1 int64) coverage.Coverage {
	return coverage.Coverage{Orders: coverage.Vector{o0, o1}, Customers: coverage.Vector{c0, c1}}
}

func TestNonsenseIsRefused(t *testing.T) {
	b := newBook(t)
	b.lines(sale(ten, 1, 1, 1))
	q, p := view.Query{View: view.RevenueByCountry}, view.DefaultParams()
	bad := p
	bad.HopSlide = 7 * bad.HopSize / 10
	for name, ask := range map[string]func() error{
		"coverage of two partitions": func() error { _, err := b.h.Answer(coverage.Zero(2), 1, p, q); return err },
		"coverage beyond the end": func() error {
			_, err := b.h.Answer(coverage.Coverage{Orders: coverage.Vector{2}, Customers: coverage.Vector{0}}, 1, p, q)
			return err
		},
		"unknown rules":     func() error { _, err := b.h.Answer(b.end, 3, p, q); return err },
		"rules 0":           func() error { _, err := b.h.Answer(b.end, 0, p, q); return err },
		"bad parameters":    func() error { _, err := b.h.Answer(b.end, 1, bad, q); return err },
		"counts beyond end": func() error { _, err := b.h.Counts(coverage.Zero(3)); return err },
	} {
		if ask() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// from and to bound the start, then last counts distinct starts, then limit counts rows.
func TestQueries(t *testing.T) {
	b := newBook(t)
	for i := range int64(4) {
		b.lines(sale(ten+i*10*minute, 1, 1, 1+i), in(sale(ten+i*10*minute, 1, 1, 10), "EIRE"))
	}
	start := func(i int64) int64 { return ten + i*10*minute }
	eire := func(i int64) view.Row { return row("EIRE", start(i), 1, 1, 10, 0, 10) }
	france := func(i int64) view.Row { return row("France", start(i), 1, 1, 1+i, 0, 1+i) }
	one, three, between := start(1), start(3), start(1)+1
	lowest, highest := int64(math.MinInt64), int64(math.MaxInt64)
	v := view.RevenueByCountry
	for _, c := range []struct {
		q    view.Query
		want []view.Row
	}{
		{view.Query{View: v, From: &one, To: &three}, []view.Row{eire(1), france(1), eire(2), france(2)}},
		{view.Query{View: v, From: &between, To: &three}, []view.Row{eire(2), france(2)}}, // acts on the start, not on the window
		{view.Query{View: v, Last: 2}, []view.Row{eire(2), france(2), eire(3), france(3)}},
		{view.Query{View: v, Last: 1, To: &three}, []view.Row{eire(2), france(2)}},
		{view.Query{View: v, Last: 2, Limit: 3}, []view.Row{eire(2), france(2), eire(3)}},
		{view.Query{View: v, Last: 9, From: &three}, []view.Row{eire(3), france(3)}},
		{view.Query{View: v, Last: math.MaxInt, From: &lowest, To: &one}, []view.Row{eire(0), france(0)}},
		{view.Query{View: v, From: &lowest, To: &highest, Limit: 1}, []view.Row{eire(0)}},
		{view.Query{View: v, From: &highest, To: &highest, Last: 1}, nil},
		{view.Query{View: v, From: &lowest, To: &lowest, Last: math.MaxInt}, nil},
		{view.Query{View: v, From: &three, To: &one, Last: 1}, nil},
	} {
		b.expect(1, c.q, c.want...)
	}
}

// last=N is of the finished view: rows that are not there do not count.
func TestLastCountsStartsThatHaveRows(t *testing.T) {
	b := newBook(t)
	b.lines(sale(ten-40*hour, 7, 1, 2_000_000), sale(ten-hour, 7, 1, 3_000_000), sale(ten, 7, 1, 1))
	b.expect(1, view.Query{View: view.SpendAlerts, Last: 2}, row("", ten-40*hour, 7, 2_000_000), row("", ten-hour, 7, 3_000_000))
	b.expect(1, view.Query{View: view.SpendAlerts, Last: 1}, row("", ten-hour, 7, 3_000_000))
}

// A history may grow between questions.
func TestAddAfterAQuestion(t *testing.T) {
	b := newBook(t)
	b.lines(sale(ten+minute, 1, 1, 1))
	b.all(view.CustomerSessions, row("", 1, ten+minute, ten+minute, 1, 1))
	b.lines(sale(ten, 1, 1, 1))
	b.all(view.CustomerSessions, row("", 1, ten, ten+minute, 2, 2))
}
