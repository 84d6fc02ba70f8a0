package oracle_test

import (
	"testing"
	"time"

	"archbench/common/coverage"
	"archbench/common/event"
	"archbench/common/oracle"
	"archbench/common/view"

	"github.com/google/go-cmp/cmp"
)

// ten is ten o'clock, where windows of every usual size begin, ms.
var ten = time.Date(2025, 3, 3, 10, 0, 0, 0, time.UTC).UnixMilli()

const (
	second = int64(1000)
	minute = 60 * second
	hour   = 60 * minute
)

// book is a history of one partition that is filled by hand.
type book struct {
	t      *testing.T
	h      *oracle.History
	end    coverage.Coverage
	params view.Params
}

func newBook(t *testing.T) *book {
	return &book{t: t, h: oracle.NewHistory(1), end: coverage.Zero(1), params: view.DefaultParams()}
}

// value is an order value; what the line leaves empty gets a value that no rule cares about.
func value(l event.OrderLine) []byte {
	if l.Country == "" {
		l.Country = "France"
	}
	if l.StockCode == "" {
		l.StockCode = "22423"
	}
	l.Version, l.OrderID = 1, "1"
	return event.AppendOrder(nil, &l)
}

func (b *book) raw(value []byte) {
	b.h.AddOrder(0, b.end.Orders[0], value)
	b.end.Orders[0]++
}

// lines adds order lines; those without an id get one of their own.
func (b *book) lines(ls ...event.OrderLine) {
	for _, l := range ls {
		if l.EventID == "" {
			l.EventID = time.Duration(b.end.Orders[0]).String()
		}
		b.raw(value(l))
	}
}

func (b *book) changes(cs ...event.ProfileChange) {
	for _, c := range cs {
		c.Version = 1
		b.h.AddCustomer(0, b.end.Customers[0], event.AppendProfile(nil, &c))
		b.end.Customers[0]++
	}
}

func sale(at, customer, quantity, price int64) event.OrderLine {
	return event.OrderLine{Kind: event.Sale, EventTimeMS: at, CustomerID: customer, Quantity: quantity, UnitPriceMilli: price}
}

func (b *book) ask(r view.Rules, q view.Query) []view.Row {
	b.t.Helper()
	rows, err := b.h.Answer(b.end, r, b.params, q)
	if err != nil {
		b.t.Fatal(err)
	}
	return rows
}

func (b *book) expect(r view.Rules, q view.Query, want ...view.Row) {
	b.t.Helper()
	if diff := cmp.Diff(append([]view.Row{}, want...), append([]view.Row{}, b.ask(r, q)...)); diff != "" {
		b.t.Errorf("%s, want - and got +:\n%s", q.View, diff)
	}
}

func (b *book) all(v view.Name, want ...view.Row) {
	b.t.Helper()
	b.expect(1, view.Query{View: v}, want...)
}

func row(text string, nums ...int64) view.Row {
	r := view.Row{Text: text}
	copy(r.Num[:], nums)
	return r
}

func in(l event.OrderLine, country string) event.OrderLine {
	l.Country = country
	return l
}

func of(l event.OrderLine, code string) event.OrderLine {
	l.StockCode = code
	return l
}

func as(l event.OrderLine, k event.Kind) event.OrderLine {
	l.Kind = k
	return l
}

func called(l event.OrderLine, id string) event.OrderLine {
	l.EventID = id
	return l
}

func TestRevenueByCountry(t *testing.T) {
	b := newBook(t)
	b.lines(
		sale(ten, 7, 6, 2550),
		as(sale(ten+1, 7, -1, 2550), event.Cancellation),
		as(sale(ten+2, 0, -3, 500), event.Adjustment), // in lines and units, in no money
		in(sale(ten+minute-1, 0, 1, 10), "EIRE"),      // the last instant of the window
		sale(ten+minute, 7, 2, 100),                   // the first of the next
		in(sale(ten, 7, 1, 1), "Österreich"),          // text in byte order
		in(sale(ten, 7, 1, 1), "austria"),
		as(sale(ten+2*minute, 7, 5, 0), event.Adjustment), // a row without money is a row
	)
	b.all(view.RevenueByCountry,
		row("EIRE", ten, 1, 1, 10, 0, 10),
		row("France", ten, 3, 2, 15300, -2550, 12750),
		row("austria", ten, 1, 1, 1, 0, 1),
		row("Österreich", ten, 1, 1, 1, 0, 1),
		row("France", ten+minute, 1, 2, 200, 0, 200),
		row("France", ten+2*minute, 1, 5, 0, 0, 0),
	)
}

func TestWindowsAreAlignedToTheEpoch(t *testing.T) {
	b := newBook(t)
	b.params.Tumbling = 7 * time.Hour // does not divide a day
	at := ten - ten%(7*hour)
	b.lines(sale(at-1, 1, 1, 1), sale(at, 1, 1, 1), sale(at+7*hour-1, 1, 1, 1))
	b.all(view.RevenueByCountry, row("France", at-7*hour, 1, 1, 1, 0, 1), row("France", at, 2, 2, 2, 0, 2))
}

func TestRollingRevenue(t *testing.T) {
	b := newBook(t)
	b.params.HopSize, b.params.HopSlide = 3*time.Minute, time.Minute
	b.lines(
		sale(ten, 1, 1, 100), // in the windows of ten −2, −1 and 0 minutes, not in that of −3, which ends here
		as(sale(ten+minute+1, 1, -1, 30), event.Cancellation),
		as(sale(ten+minute+1, 1, 1, 7), event.Adjustment),
		in(sale(ten+3*minute-1, 0, 2, 5), "EIRE"),
	)
	b.all(view.RollingRevenue,
		row("France", ten-2*minute, 1, 100, 100),
		row("France", ten-minute, 3, 100, 70),
		row("EIRE", ten, 1, 10, 10),
		row("France", ten, 3, 100, 70),
		row("EIRE", ten+minute, 1, 10, 10),
		row("France", ten+minute, 2, 0, -30),
		row("EIRE", ten+2*minute, 1, 10, 10),
	)
}

func TestRollingWindowAsLongAsItsSlideTumbles(t *testing.T) {
	b := newBook(t)
	b.params.HopSize, b.params.HopSlide = time.Minute, time.Minute
	b.lines(sale(ten, 1, 1, 100), sale(ten+minute-1, 1, 1, 1), sale(ten+minute, 1, 1, 10))
	b.all(view.RollingRevenue, row("France", ten, 2, 101, 101), row("France", ten+minute, 1, 10, 10))
}

func TestCustomerSessions(t *testing.T) {
	gap := 30 * minute
	b := newBook(t)
	b.lines(
		sale(ten, 0, 1, 1), // guests have no sessions
		sale(ten+2*gap+1, 8, 1, 1000),
		sale(ten, 8, 1, 10),                                            // arrives later than what follows it
		as(sale(ten+gap, 8, -1, 3), event.Cancellation),                // the gap itself does not part
		as(sale(ten+gap, 8, 1, 500), event.Adjustment),                 // a line, but no money
		as(sale(ten+2*gap+1+gap+1, 8, 9, 0), event.Adjustment),         // one more than the gap does
		in(sale(ten+5, 9, 2, 2), "EIRE"), in(sale(ten, 9, 1, 1), "UK"), // countries do not matter
	)
	b.all(view.CustomerSessions,
		row("", 8, ten, ten+gap, 3, 7),
		row("", 8, ten+2*gap+1, ten+2*gap+1, 1, 1000),
		row("", 8, ten+3*gap+2, ten+3*gap+2, 1, 0),
		row("", 9, ten, ten+5, 2, 5),
	)
	b.lines(sale(ten+gap+1, 8, 1, 1)) // late, and joins the first two
	b.expect(1, view.Query{View: view.CustomerSessions, Limit: 2},
		row("", 8, ten, ten+2*gap+1, 5, 1008),
		row("", 8, ten+3*gap+2, ten+3*gap+2, 1, 0),
	)
}

// A range shows the sessions that start in it, whole.
func TestSessionsOfARange(t *testing.T) {
	b := newBook(t)
	for i := range int64(10) {
		b.lines(sale(ten+i*20*minute, 1, 1, 1)) // one session of three hours
	}
	b.lines(sale(ten+4*hour, 1, 1, 1))
	from, to := ten+1, ten+4*hour
	b.expect(1, view.Query{View: view.CustomerSessions, From: &from, To: &to})
	b.expect(1, view.Query{View: view.CustomerSessions, From: &to}, row("", 1, to, to, 1, 1))
	b.expect(1, view.Query{View: view.CustomerSessions, To: &to}, row("", 1, ten, ten+3*hour, 10, 10))
}

func TestTopProducts(t *testing.T) {
	b := newBook(t)
	b.params.TopK = 3
	b.lines(
		of(sale(ten, 1, 2, 50), "b"), of(sale(ten+1, 0, 1, 20), "b"), // 120 over countries and customers
		in(of(sale(ten, 1, 1, 100), "a"), "EIRE"),
		of(sale(ten, 1, 5, 20), "Z"), // ties with a; Z is lower in byte order
		of(sale(ten, 1, 1, 99), "c"), // fourth
		of(as(sale(ten, 1, 9, 900), event.Cancellation), "x"),
		of(as(sale(ten, 1, 9, 900), event.Adjustment), "y"),
		of(sale(ten+hour, 1, 1, 1), "c"), of(as(sale(ten+hour, 1, 9, 900), event.Cancellation), "x"),
	)
	b.all(view.TopProducts,
		row("b", ten, 1, 3, 120), row("Z", ten, 2, 5, 100), row("a", ten, 3, 1, 100), row("c", ten+hour, 1, 1, 1))
}

func TestRevenueBySegment(t *testing.T) {
	for _, c := range []struct {
		name    string
		changes []event.ProfileChange
		want    string
	}{
		{"no profile", nil, "unknown"},
		{"valid at the window's start", []event.ProfileChange{{CustomerID: 5, Segment: "vip", ValidFromMS: ten}}, "vip"},
		{"valid after it, before the line", []event.ProfileChange{{CustomerID: 5, Segment: "vip", ValidFromMS: ten + 1}}, "unknown"},
		{"greatest valid_from", []event.ProfileChange{
			{CustomerID: 5, Segment: "business", ValidFromMS: ten - 1}, {CustomerID: 5, Segment: "vip", ValidFromMS: ten - 2}}, "business"},
		{"a later change does not reach back", []event.ProfileChange{
			{CustomerID: 5, Segment: "consumer", ValidFromMS: ten - 1}, {CustomerID: 5, Segment: "vip", ValidFromMS: ten + 1}}, "consumer"},
		{"ties by the greater offset", []event.ProfileChange{
			{CustomerID: 5, Segment: "wholesale", ValidFromMS: ten}, {CustomerID: 5, Segment: "vip", ValidFromMS: ten}}, "vip"},
		{"a deletion wins a tie by offset too", []event.ProfileChange{
			{CustomerID: 5, Segment: "wholesale", ValidFromMS: ten}, {CustomerID: 5, Deleted: true, ValidFromMS: ten}}, "unknown"},
		{"deleted", []event.ProfileChange{
			{CustomerID: 5, Segment: "vip", ValidFromMS: ten - 2}, {CustomerID: 5, Deleted: true, ValidFromMS: ten - 1}}, "unknown"},
		{"deleted later", []event.ProfileChange{
			{CustomerID: 5, Segment: "vip", ValidFromMS: ten - 2}, {CustomerID: 5, Deleted: true, ValidFromMS: ten + 1}}, "vip"},
		{"alive again", []event.ProfileChange{{CustomerID: 5, Deleted: true, ValidFromMS: ten - 2}, {CustomerID: 5, Segment: "vip", ValidFromMS: ten - 1}}, "vip"},
		{"somebody else's", []event.ProfileChange{{CustomerID: 6, Segment: "vip", ValidFromMS: ten}}, "unknown"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBook(t)
			b.changes(c.changes...)
			b.lines(
				sale(ten+minute, 5, 2, 50),
				as(sale(ten+minute, 5, -1, 30), event.Cancellation),
				as(sale(ten+hour-1, 5, 1, 99), event.Adjustment),
			)
			b.all(view.RevenueBySegment, row(c.want, ten, 3, 70))
		})
	}
}

func TestRevenueBySegmentOfGuestsAndSeveral(t *testing.T) {
	b := newBook(t)
	b.changes(
		event.ProfileChange{CustomerID: 0, Segment: "vip", ValidFromMS: ten - hour}, // a guest has no profile
		event.ProfileChange{CustomerID: 1, Segment: "vip", ValidFromMS: ten - hour},
		event.ProfileChange{CustomerID: 2, Segment: "vip", ValidFromMS: ten - hour},
		event.ProfileChange{CustomerID: 2, Segment: "business", ValidFromMS: ten + hour},
	)
	b.lines(sale(ten, 0, 1, 1), sale(ten, 1, 1, 10), sale(ten, 2, 1, 100), sale(ten, 3, 1, 1000), sale(ten+hour, 2, 1, 7))
	b.all(view.RevenueBySegment,
		row("guest", ten, 1, 1), row("unknown", ten, 1, 1000), row("vip", ten, 2, 110), row("business", ten+hour, 1, 7))
}

func TestDistinctCustomers(t *testing.T) {
	b := newBook(t)
	b.lines(
		sale(ten, 1, 1, 1), sale(ten+hour-1, 1, 1, 1), as(sale(ten, 2, -1, 1), event.Cancellation), as(sale(ten, 3, 1, 0), event.Adjustment),
		in(sale(ten, 1, 1, 1), "EIRE"),  // counts in both countries
		in(sale(ten, 0, 1, 1), "Spain"), // guests only: no row
		sale(ten+hour, 1, 1, 1),
	)
	b.all(view.DistinctCustomers, row("EIRE", ten, 1), row("France", ten, 3), row("France", ten+hour, 1))
}

func TestSpendAlerts(t *testing.T) {
	b := newBook(t)
	b.lines(
		sale(ten, 1, 1, 600_000), in(sale(ten+minute-1, 1, 1, 400_000), "EIRE"), // the threshold itself, over countries
		as(sale(ten, 1, -1, 600_000), event.Cancellation), // takes nothing away
		sale(ten, 2, 1, 999_999),
		as(sale(ten, 2, 1, 500_000), event.Adjustment),
		sale(ten, 0, 1, 5_000_000),                                         // a guest
		sale(ten+minute-1, 3, 1, 600_000), sale(ten+minute, 3, 1, 600_000), // two windows
		sale(ten+minute, 10, 2, 1_000_000), sale(ten+minute, 9, 1, 1_000_001),
	)
	b.all(view.SpendAlerts, row("", ten, 1, 1_000_000), row("", ten+minute, 9, 1_000_001), row("", ten+minute, 10, 2_000_000))
}

func TestEmptyHistory(t *testing.T) {
	b := newBook(t)
	for _, v := range view.Names() {
		b.all(v)
		b.expect(2, view.Query{View: v, Last: 3})
	}
}
