package view

import (
	"fmt"
	"slices"
	"strings"
)

// Name is a view as it is called in URLs, files and results.
type Name string

// The seven views, Q1 to Q7 of the workload.
const (
	RevenueByCountry  Name = "revenue_by_country"
	RollingRevenue    Name = "rolling_revenue"
	CustomerSessions  Name = "customer_sessions"
	TopProducts       Name = "top_products"
	RevenueBySegment  Name = "revenue_by_segment"
	DistinctCustomers Name = "distinct_customers"
	SpendAlerts       Name = "spend_alerts"
)

// Names lists the views, Q1 first.
func Names() []Name {
	return []Name{RevenueByCountry, RollingRevenue, CustomerSessions, TopProducts, RevenueBySegment, DistinctCustomers, SpendAlerts}
}

// ParseName finds a view by name; the error lists those that exist.
func ParseName(s string) (Name, error) {
	if n := Name(s); slices.Contains(Names(), n) {
		return n, nil
	}
	var known []string
	for _, n := range Names() {
		known = append(known, string(n))
	}
	return "", fmt.Errorf("unknown view %q: the views are %s", s, strings.Join(known, ", "))
}

// Column is one column of a relation of rows.
type Column struct {
	Name string
	Text bool // text; otherwise a 64-bit integer
}

// Schema is the shape of a relation: a view or a partial. At most one column is text.
type Schema struct {
	Name    string
	Columns []Column
	Keys    int // the first Keys columns identify a row and order the relation
	Window  int // index of the column that from, to and last act on
}

// MaxNums is how many integer columns a Row can hold.
const MaxNums = 6

// Row is one row of any view or partial: its text column, if the schema has
// one, and its integer columns in the schema's order. Unused places are zero,
// so rows compare with ==.
type Row struct {
	Text string
	Num  [MaxNums]int64
}

func columns(names ...string) []Column {
	cs := make([]Column, len(names))
	for i, n := range names {
		cs[i] = Column{Name: n, Text: n == "country" || n == "stock_code" || n == "segment"}
	}
	return cs
}

// Schema returns the shape of the view: key columns first, then the rest, in the workload's order.
func (n Name) Schema() Schema {
	s := Schema{Name: string(n), Keys: 2}
	switch n {
	case RevenueByCountry:
		s.Columns = columns("window_start", "country", "lines", "units", "gross_milli", "cancelled_milli", "net_milli")
	case RollingRevenue:
		s.Columns = columns("window_start", "country", "lines", "gross_milli", "net_milli")
	case CustomerSessions:
		s.Columns = columns("customer_id", "session_start", "session_end", "lines", "net_milli")
		s.Window = 1
	case TopProducts:
		s.Columns = columns("window_start", "rank", "stock_code", "units", "gross_milli")
	case RevenueBySegment:
		s.Columns = columns("window_start", "segment", "lines", "net_milli")
	case DistinctCustomers:
		s.Columns = columns("window_start", "country", "customers")
	case SpendAlerts:
		s.Columns = columns("window_start", "customer_id", "gross_milli")
	}
	return s
}

// NumIndex returns the place in Row.Num of column i, which must not be text.
func (s Schema) NumIndex(i int) int {
	at := 0
	for _, c := range s.Columns[:i] {
		if !c.Text {
			at++
		}
	}
	return at
}

// WindowOf returns the window (or session) start of a row, ms since the epoch.
func (s Schema) WindowOf(r *Row) int64 { return r.Num[s.NumIndex(s.Window)] }

// Compare orders rows by their key columns: numbers ascending, text in byte order.
func (s Schema) Compare(a, b *Row) int {
	num := 0
	for _, c := range s.Columns[:s.Keys] {
		if c.Text {
			if d := strings.Compare(a.Text, b.Text); d != 0 {
				return d
			}
			continue
		}
		if x, y := a.Num[num], b.Num[num]; x != y {
			if x < y {
				return -1
			}
			return 1
		}
		num++
	}
	return 0
}

// Sort orders rows as an answer gives them.
func (s Schema) Sort(rows []Row) {
	slices.SortFunc(rows, func(a, b Row) int { return s.Compare(&a, &b) })
}

// Query asks for part of a finished view. The zero bounds mean all of it.
type Query struct {
	View Name
	From *int64 // least window or session start, ms since the epoch; nil: no bound
	To   *int64 // window or session start must lie below it; nil: no bound
	Last int    // only the greatest Last distinct starts that have rows; 0: all
	// Limit keeps that many rows from the start of the order; 0: all.
	Limit int
}

// Holds reports whether a window or session start lies in [From, To).
func (q Query) Holds(start int64) bool {
	return (q.From == nil || *q.From <= start) && (q.To == nil || start < *q.To)
}

// Apply cuts a finished view, in order, down to what q asks for: from and to,
// then last, then limit. It may reuse rows.
func (q Query) Apply(rows []Row) []Row {
	s := q.View.Schema()
	at := s.NumIndex(s.Window)
	if q.From != nil || q.To != nil {
		rows = slices.DeleteFunc(rows, func(r Row) bool { return !q.Holds(r.Num[at]) })
	}
	if q.Last > 0 {
		if least, ok := nthGreatestStart(rows, at, q.Last); ok {
			rows = slices.DeleteFunc(rows, func(r Row) bool { return r.Num[at] < least })
		}
	}
	if q.Limit > 0 && len(rows) > q.Limit {
		rows = rows[:q.Limit]
	}
	return rows
}

// nthGreatestStart finds the n-th greatest distinct start; ok is false where there are fewer.
func nthGreatestStart(rows []Row, at, n int) (start int64, ok bool) {
	starts := make([]int64, len(rows))
	for i := range rows {
		starts[i] = rows[i].Num[at]
	}
	slices.Sort(starts)
	starts = slices.Compact(starts)
	if len(starts) < n {
		return 0, false
	}
	return starts[len(starts)-n], true
}
