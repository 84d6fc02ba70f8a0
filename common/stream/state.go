package stream

import (
	"iter"
	"slices"

	"archbench/common/event"
	"archbench/common/view"
)

// State holds the partials of one set of lines under one version of the rules.
// It is not safe for concurrent use.
type State struct {
	sizes sizes
	logic view.Logic
	codes map[string]code

	countries *table[string]   // lines, units, gross, cancelled
	panes     *table[string]   // lines, gross, net
	products  *table[string]   // units, gross
	customers *table[int64]    // lines, net
	spend     *table[int64]    // gross
	sets      *table[resident] // nothing: the keys are the set
	sessions  sessions
	profiles  profiles

	latest, earliest int64 // event times seen, of lines that count
	any              bool
}

// sizes are the window sizes in ms.
type sizes struct{ tumbling, hopSlide, hopSize, top, segment, distinct, alert int64 }

// resident is a customer seen in a country.
type resident struct {
	country  string
	customer int64
}

type code struct {
	folded string
	counts bool
}

// NewState returns an empty state.
func NewState(p view.Params, r view.Rules) *State {
	return &State{
		sizes: sizesOf(p),
		logic: r.Logic(), codes: map[string]code{},
		countries: newTable[string](), panes: newTable[string](), products: newTable[string](),
		customers: newTable[int64](), spend: newTable[int64](), sets: newTable[resident](),
		sessions: sessions{gap: p.SessionGap.Milliseconds(), byCustomer: map[int64][]fragment{}},
		profiles: profiles{byCustomer: map[int64][]change{}},
	}
}

func sizesOf(p view.Params) sizes {
	return sizes{p.Tumbling.Milliseconds(), p.HopSlide.Milliseconds(), p.HopSize.Milliseconds(),
		p.Top.Milliseconds(), p.Segment.Milliseconds(), p.Distinct.Milliseconds(), p.Alert.Milliseconds()}
}

// Track makes the state remember which rows change, for TakeChanges.
func (s *State) Track() {
	s.countries.track, s.panes.track, s.products.track = true, true, true
	s.customers.track, s.spend.track, s.sets.track = true, true, true
	s.sessions.track, s.profiles.track = true, true
}

// AddLine adds a usable line that is the first of its id. Lines that the rules
// exclude change nothing.
func (s *State) AddLine(l *event.OrderLine) {
	code, counts := s.code(l.StockCode)
	if !counts {
		return
	}
	s.saw(l.EventTimeMS)
	at, amount := l.EventTimeMS, l.AmountMilli()
	var gross, cancelled int64
	switch l.Kind {
	case event.Sale:
		gross = amount
	case event.Cancellation:
		cancelled = amount
	}
	net := gross + cancelled
	s.countries.add(view.WindowStart(at, s.sizes.tumbling), l.Country, values{1, l.Quantity, gross, cancelled})
	s.panes.add(view.WindowStart(at, s.sizes.hopSlide), l.Country, values{1, gross, net})
	s.customers.add(view.WindowStart(at, s.sizes.segment), l.CustomerID, values{1, net})
	if l.Kind == event.Sale {
		s.products.add(view.WindowStart(at, s.sizes.top), code, values{l.Quantity, gross})
	}
	if l.CustomerID == 0 {
		return
	}
	s.sessions.add(l.CustomerID, fragment{start: at, end: at, lines: 1, net: net})
	s.sets.add(view.WindowStart(at, s.sizes.distinct), resident{l.Country, l.CustomerID}, values{})
	if l.Kind == event.Sale {
		s.spend.add(view.WindowStart(at, s.sizes.alert), l.CustomerID, values{gross})
	}
}

// AddProfile adds a usable profile change, found at this offset of its partition.
func (s *State) AddProfile(c *event.ProfileChange, offset int64) {
	s.profiles.add(c.CustomerID, change{validFrom: c.ValidFromMS, offset: offset, segment: c.Segment})
}

// MergeRow adds one row of a partial that a store or the other kernel holds.
func (s *State) MergeRow(kind view.Partial, r view.Row) {
	n := r.Num
	switch kind {
	case view.CountryWindows:
		s.saw(n[0])
		s.countries.add(n[0], r.Text, values{n[1], n[2], n[3], n[4]})
	case view.CountryPanes:
		s.saw(n[0])
		s.panes.add(n[0], r.Text, values{n[1], n[2], n[3]})
	case view.ProductWindows:
		s.products.add(n[0], r.Text, values{n[1], n[2]})
	case view.CustomerWindows:
		s.saw(n[0])
		s.customers.add(n[0], n[1], values{n[2], n[3]})
	case view.SpendWindows:
		s.spend.add(n[0], n[1], values{n[2]})
	case view.CustomerSets:
		s.sets.add(n[0], resident{r.Text, n[1]}, values{})
	case view.SessionFragments:
		s.saw(n[1])
		s.sessions.add(n[0], fragment{start: n[1], end: n[2], lines: n[3], net: n[4]})
	case view.Profiles:
		s.profiles.add(n[0], change{validFrom: n[1], offset: n[2], segment: r.Text})
	}
}

// Rows yields every row of a partial, in no particular order.
func (s *State) Rows(kind view.Partial) iter.Seq[view.Row] {
	return func(yield func(view.Row) bool) { s.each(kind, everything, nil, yield) }
}

// Len is the number of rows of all partials.
func (s *State) Len() int {
	return s.countries.len + s.panes.len + s.products.len + s.customers.len + s.spend.len + s.sets.len + s.sessions.len + s.profiles.len
}

// TakeChanges reports the rows that changed since the last call, with their
// present values, and the keys of rows that are gone. Only rows changed after
// Track are known. The same row may be reported once only.
func (s *State) TakeChanges(put, del func(view.Partial, view.Row)) {
	takeCells(s.countries, view.CountryWindows, put)
	takeCells(s.panes, view.CountryPanes, put)
	takeCells(s.products, view.ProductWindows, put)
	takeCells(s.customers, view.CustomerWindows, put)
	takeCells(s.spend, view.SpendWindows, put)
	takeCells(s.sets, view.CustomerSets, put)
	s.sessions.takeChanges(put, del)
	s.profiles.takeChanges(put)
}

// Bounds are the least and greatest event or window times among the lines, ms;
// ok is false for a state without lines.
func (s *State) Bounds() (earliest, latest int64, ok bool) { return s.earliest, s.latest, s.any }

func (s *State) saw(at int64) {
	if !s.any {
		s.earliest, s.latest, s.any = at, at, true
		return
	}
	s.earliest, s.latest = min(s.earliest, at), max(s.latest, at)
}

func (s *State) code(spelled string) (string, bool) {
	c, known := s.codes[spelled]
	if !known {
		if len(s.codes) >= 1<<16 { // a source of ever new codes must not fill the memory
			clear(s.codes)
		}
		c.folded, c.counts = s.logic.Code(spelled)
		s.codes[spelled] = c
	}
	return c.folded, c.counts
}

// sortedWindows is for those who want windows in order.
func sortedWindows[V any](m map[int64]V) []int64 {
	starts := make([]int64, 0, len(m))
	for w := range m {
		starts = append(starts, w)
	}
	slices.Sort(starts)
	return starts
}
