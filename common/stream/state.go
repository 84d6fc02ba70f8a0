package stream

import (
	"iter"
	"math"
	"slices"

	"archbench/common/event"
	"archbench/common/view"
)

// State holds the partials of one set of lines under one version of the rules.
// It is not safe for concurrent use.
type State struct {
	sizes sizes
	codes codes

	threshold int64 // of alerts, thousandths of a pound

	countries *table[string]   // lines, units, gross, cancelled
	panes     *table[string]   // lines, gross, net
	products  *table[string]   // units, gross
	customers *table[int64]    // lines, net
	spend     *table[int64]    // gross
	sets      *table[resident] // nothing: the keys are the set
	sessions  sessions
	profiles  *Profiles

	// Under policy bounded these take the place of customers and sets.
	bounded  bool
	segments *table[string] // lines, net
	sketches *table[block]  // registers
	horizon  int64          // what closed below it has been let go of

	times Times // event times seen, of lines that count
}

// sizes are the window sizes in ms.
type sizes struct{ tumbling, hopSlide, hopSize, top, segment, distinct, alert int64 }

// of is the size of a window of a partial that has windows.
func (s sizes) of(kind view.Partial) int64 {
	switch kind {
	case view.CountryWindows:
		return s.tumbling
	case view.CountryPanes:
		return s.hopSlide
	case view.ProductWindows:
		return s.top
	case view.CustomerWindows, view.SegmentWindows:
		return s.segment
	case view.CustomerSets, view.CustomerSketches:
		return s.distinct
	default:
		return s.alert
	}
}

// resident is a customer seen in a country.
type resident struct {
	country  string
	customer int64
}

// NewState returns an empty state under the exact definitions.
func NewState(p view.Params, r view.Rules) *State { return newState(p, r, NewProfiles()) }

// NewBoundedState returns an empty state under policy bounded: a line counts
// towards the segment that these profiles give its customer when it is added, and
// customers are counted by sketches. Several states may share the profiles.
func NewBoundedState(p view.Params, r view.Rules, known *Profiles) *State {
	s := newState(p, r, known)
	s.bounded = true
	return s
}

func newState(p view.Params, r view.Rules, known *Profiles) *State {
	return &State{
		sizes: sizesOf(p),
		codes: newCodes(r), threshold: p.AlertThresholdMilli,
		countries: newTable[string](), panes: newTable[string](), products: newTable[string](),
		customers: newTable[int64](), spend: newTable[int64](), sets: newTable[resident](),
		sessions: sessions{gap: p.SessionGap.Milliseconds(), byCustomer: map[int64][]fragment{}},
		profiles: known,
		segments: newTable[string](), sketches: newTable[block](), horizon: math.MinInt64,
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
	s.segments.track, s.sketches.track = true, true
	s.sessions.track, s.profiles.track = true, true
}

// AddLine adds a usable line that is the first of its id and, under policy
// bounded, not late. Lines that the rules exclude change nothing. crossed says that
// the line brought its customer's sum to the alert threshold: it is the crossing line
// if the state holds all lines before it.
func (s *State) AddLine(l *event.OrderLine) (c Crossing, crossed bool) {
	code, counts := s.codes.of(l.StockCode)
	if !counts {
		return c, false
	}
	s.times.Add(l.EventTimeMS)
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
	s.addToSegment(view.WindowStart(at, s.sizes.segment), l.CustomerID, net)
	if l.Kind == event.Sale {
		s.products.add(view.WindowStart(at, s.sizes.top), code, values{l.Quantity, gross})
	}
	if l.CustomerID == 0 {
		return c, false
	}
	s.sessions.add(l.CustomerID, fragment{start: at, end: at, lines: 1, net: net})
	s.addToSet(view.WindowStart(at, s.sizes.distinct), l.Country, l.CustomerID)
	if l.Kind != event.Sale {
		return c, false
	}
	window := view.WindowStart(at, s.sizes.alert)
	sum := s.spend.add(window, l.CustomerID, values{gross}).values[0]
	return Crossing{window, l.CustomerID, sum}, crosses(sum, gross, s.threshold)
}

func (s *State) addToSegment(window, customer, net int64) {
	if s.bounded {
		s.segments.add(window, s.profiles.segment(customer, window), values{1, net})
		return
	}
	s.customers.add(window, customer, values{1, net})
}

func (s *State) addToSet(window int64, country string, customer int64) {
	if s.bounded {
		observe(s.sketches, window, country, customer)
		return
	}
	s.sets.add(window, resident{country, customer}, values{})
}

// AddProfile adds a usable profile change, found at this offset of its partition.
func (s *State) AddProfile(c *event.ProfileChange, offset int64) {
	s.profiles.Add(c, offset)
}

// MergeRow adds one row of a partial that a store or the other kernel holds.
func (s *State) MergeRow(kind view.Partial, r view.Row) {
	n := r.Num
	switch kind {
	case view.CountryWindows:
		s.times.Add(n[0])
		s.countries.add(n[0], r.Text, values{n[1], n[2], n[3], n[4]})
	case view.CountryPanes:
		s.times.Add(n[0])
		s.panes.add(n[0], r.Text, values{n[1], n[2], n[3]})
	case view.ProductWindows:
		s.products.add(n[0], r.Text, values{n[1], n[2]})
	case view.CustomerWindows:
		s.times.Add(n[0])
		s.customers.add(n[0], n[1], values{n[2], n[3]})
	case view.SpendWindows:
		s.spend.add(n[0], n[1], values{n[2]})
	case view.CustomerSets:
		s.sets.add(n[0], resident{r.Text, n[1]}, values{})
	case view.SessionFragments:
		s.times.Add(n[1])
		s.sessions.add(n[0], fragment{start: n[1], end: n[2], lines: n[3], net: n[4]})
	case view.Profiles:
		s.profiles.add(n[0], change{validFrom: n[1], offset: n[2], segment: r.Text})
	case view.SegmentWindows:
		s.times.Add(n[0])
		s.segments.add(n[0], r.Text, values{n[1], n[2]})
	case view.CustomerSketches:
		mergeBlock(s.sketches, n[0], block{r.Text, n[1]}, values{n[2], n[3], n[4], n[5]})
	}
}

// Rows yields every row of a partial, in no particular order.
func (s *State) Rows(kind view.Partial) iter.Seq[view.Row] {
	return func(yield func(view.Row) bool) { s.each(kind, everything, nil, yield) }
}

// Len is the number of rows of all partials; under policy bounded without the
// profiles, which states may share.
func (s *State) Len() int {
	n := s.countries.len + s.panes.len + s.products.len + s.customers.len + s.spend.len + s.sets.len + s.sessions.len + s.segments.len + s.sketches.len
	if !s.bounded {
		n += s.profiles.len
	}
	return n
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
	takeCells(s.segments, view.SegmentWindows, put)
	takeCells(s.sketches, view.CustomerSketches, put)
	s.sessions.takeChanges(put, del)
	s.profiles.takeChanges(put, del)
}

// Times are the least and greatest event or window times among the lines.
func (s *State) Times() Times { return s.times }

// RestoreTimes widens the times to what a store knows of rows that are not put
// back into memory.
func (s *State) RestoreTimes(earliest, latest int64) {
	s.times.Add(earliest)
	s.times.Add(latest)
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
