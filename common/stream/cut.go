package stream

import (
	"math"

	"archbench/common/view"
)

// Cut is an immutable copy of the partial rows that a query needs of one state.
// Cuts of states that hold disjoint sets of lines merge.
type Cut struct {
	kind     view.Partial
	rows     []view.Row
	profiles []view.Row // for revenue_by_segment, where the join is still to be made
}

// NewCut returns an empty cut of a partial, to be filled by who keeps its rows.
func NewCut(kind view.Partial) *Cut { return &Cut{kind: kind} }

// Add adds a row that something else than a state keeps.
func (c *Cut) Add(r view.Row) { c.rows = append(c.rows, r) }

// LeastWindow is the least window (or session) start of the rows; ok is false
// without rows.
func (c *Cut) LeastWindow() (least int64, ok bool) {
	schema := c.kind.Schema()
	least = math.MaxInt64
	for i := range c.rows {
		least = min(least, schema.WindowOf(&c.rows[i]))
	}
	return least, len(c.rows) > 0
}

// AddCustomers adds the customers whose rows need a profile to the set.
func (c *Cut) AddCustomers(set Customers) {
	if c.kind != view.CustomerWindows {
		return
	}
	for i := range c.rows {
		set[c.rows[i].Num[1]] = struct{}{}
	}
}

// Customers is a set of customers; nil stands for all.
type Customers map[int64]struct{}

// span is a range of window starts, [from, to).
type span struct{ from, to int64 }

var everything = span{math.MinInt64, math.MaxInt64}

func (s span) holds(at int64) bool { return at >= s.from && at < s.to }

// Range is the range of window (or session) starts, [from, to), of the rows of the
// query's partial that its bounds reach: from math.MinInt64 or to math.MaxInt64 where
// there is no bound. Sessions in it may have fragments outside.
func Range(p view.Params, q view.Query) (from, to int64) {
	r := sizesOf(p).spanOf(q)
	return r.from, r.to
}

// spanOf is the range of partial rows that q's bounds reach.
func (s sizes) spanOf(q view.Query) span {
	r := everything
	if q.From != nil {
		r.from = *q.From
	}
	if q.To != nil {
		r.to = *q.To
		if q.View == view.RollingRevenue && r.to <= math.MaxInt64-s.hopSize {
			r.to += s.hopSize // the panes of the last window lie above its start
		}
	}
	return r
}

// NeedsCustomers reports whether the customers must be known before Cut: for a
// bounded query on sessions or segments, one state cannot tell which of its
// fragments or profiles another state's rows need.
func NeedsCustomers(q view.Query) bool {
	return (q.View == view.CustomerSessions || q.View == view.RevenueBySegment) && (q.From != nil || q.To != nil)
}

// AddCustomers adds those customers to the set that have a row in the query's range.
func (s *State) AddCustomers(q view.Query, set Customers) {
	r := s.sizes.spanOf(q)
	switch q.View {
	case view.CustomerSessions:
		for customer, fs := range s.sessions.byCustomer {
			for i := range fs {
				if r.holds(fs[i].start) {
					set[customer] = struct{}{}
					break
				}
			}
		}
	case view.RevenueBySegment:
		for w, cells := range s.customers.windows {
			if r.holds(w) {
				for c := range cells {
					set[c] = struct{}{}
				}
			}
		}
	}
}

// Cut copies what q needs. Where NeedsCustomers, the set is that of all states
// that will be merged; else it is nil.
func (s *State) Cut(q view.Query, customers Customers) *Cut {
	c := &Cut{kind: s.partial(q.View)}
	r := s.sizes.spanOf(q)
	if q.View == view.CustomerSessions {
		r = everything // a session in range may have fragments outside it; the set narrows
	}
	s.each(c.kind, r, customers, func(row view.Row) bool {
		c.rows = append(c.rows, row)
		return true
	})
	if c.kind == view.CustomerWindows {
		s.each(view.Profiles, everything, customers, func(row view.Row) bool {
			c.profiles = append(c.profiles, row)
			return true
		})
	}
	return c
}

// partial is the one that the state keeps for a view.
func (s *State) partial(v view.Name) view.Partial {
	if s.bounded {
		return v.BoundedPartial()
	}
	return v.Partial()
}

// each yields the rows of a partial whose window lies in r; sessions and
// profiles only of these customers.
func (s *State) each(kind view.Partial, r span, customers Customers, yield func(view.Row) bool) {
	switch kind {
	case view.CountryWindows:
		eachCell(s.countries, r, yield)
	case view.CountryPanes:
		eachCell(s.panes, r, yield)
	case view.ProductWindows:
		eachCell(s.products, r, yield)
	case view.CustomerWindows:
		eachCell(s.customers, r, yield)
	case view.SpendWindows:
		eachCell(s.spend, r, yield)
	case view.CustomerSets:
		eachCell(s.sets, r, yield)
	case view.SegmentWindows:
		eachCell(s.segments, r, yield)
	case view.CustomerSketches:
		eachCell(s.sketches, r, yield)
	case view.SessionFragments:
		eachOf(s.sessions.byCustomer, customers, func(customer int64, fs []fragment) bool {
			for i := range fs {
				if !yield(fs[i].row(customer)) {
					return false
				}
			}
			return true
		})
	case view.Profiles:
		eachOf(s.profiles.byCustomer, customers, func(customer int64, cs []change) bool {
			for i := range cs {
				if !yield(cs[i].row(customer)) {
					return false
				}
			}
			return true
		})
	}
}

func eachCell[K comparable](t *table[K], r span, yield func(view.Row) bool) {
	for w, cells := range t.windows {
		if !r.holds(w) {
			continue
		}
		for k, c := range cells {
			if !yield(rowOf(w, k, c.values)) {
				return
			}
		}
	}
}

// eachOf calls f for the wanted customers, going through the smaller of the two sets.
func eachOf[V any](all map[int64]V, wanted Customers, f func(int64, V) bool) {
	if wanted == nil {
		for customer, v := range all {
			if !f(customer, v) {
				return
			}
		}
		return
	}
	for customer := range wanted {
		if v, ok := all[customer]; ok && !f(customer, v) {
			return
		}
	}
}
