package stream

import (
	"math"
	"slices"
	"sort"
	"strings"

	"archbench/common/view"
)

// Finish merges cuts and finishes them into the view's rows, in order, cut down
// to the query. The cuts are taken for the same query, of exact states, bounded
// ones or both.
func Finish(p view.Params, q view.Query, cuts ...*Cut) []view.Row {
	s := NewState(p, view.EveryLine) // the merged partials; rules and policy were applied when lines came in
	for _, c := range cuts {
		for _, r := range c.rows {
			s.MergeRow(c.kind, r)
		}
		for _, r := range c.profiles {
			s.MergeRow(view.Profiles, r)
		}
	}
	rows := s.finish(p, q)
	q.View.Schema().Sort(rows)
	return q.Apply(rows)
}

func (s *State) finish(p view.Params, q view.Query) []view.Row {
	switch q.View {
	case view.RevenueByCountry:
		return s.revenueByCountry()
	case view.RollingRevenue:
		return s.rollingRevenue(q)
	case view.CustomerSessions:
		return slices.Collect(s.Rows(view.SessionFragments))
	case view.TopProducts:
		return s.topProducts(p.TopK)
	case view.RevenueBySegment:
		return s.revenueBySegment()
	case view.DistinctCustomers:
		return s.distinctCustomers()
	case view.SpendAlerts:
		return s.spendAlerts(p.AlertThresholdMilli)
	}
	return nil
}

func (s *State) revenueByCountry() []view.Row {
	rows := make([]view.Row, 0, s.countries.len)
	for r := range s.Rows(view.CountryWindows) {
		r.Num[5] = r.Num[3] + r.Num[4]
		rows = append(rows, r)
	}
	return rows
}

// rollingRevenue slides a sum over each country's panes: a pane enters as the
// window's end passes it and leaves as the start does.
func (s *State) rollingRevenue(q view.Query) []view.Row {
	type pane struct {
		start int64
		v     values // lines, gross, net
	}
	byCountry := map[string][]pane{}
	for _, w := range sortedWindows(s.panes.windows) {
		for country, c := range s.panes.windows[w] {
			byCountry[country] = append(byCountry[country], pane{w, c.values})
		}
	}
	size, slide := s.sizes.hopSize, s.sizes.hopSlide
	var rows []view.Row
	for country, panes := range byCountry {
		var sum values
		leave, enter := 0, 0
		for start := panes[0].start - size + slide; leave < len(panes); start += slide {
			if leave == enter { // nothing in the window: go to the first that holds the next pane
				start = max(start, panes[enter].start-size+slide)
			}
			for ; enter < len(panes) && panes[enter].start < start+size; enter++ {
				for i := range sum {
					sum[i] += panes[enter].v[i]
				}
			}
			for ; leave < enter && panes[leave].start < start; leave++ {
				for i := range sum {
					sum[i] -= panes[leave].v[i]
				}
			}
			if leave < enter && q.Holds(start) {
				rows = append(rows, view.Row{Text: country, Num: [view.MaxNums]int64{start, sum[0], sum[1], sum[2]}})
			}
		}
	}
	return rows
}

func (s *State) topProducts(k int) []view.Row {
	var rows []view.Row
	for w, cells := range s.products.windows {
		products := make([]view.Row, 0, len(cells))
		for code, c := range cells {
			products = append(products, view.Row{Text: code, Num: [view.MaxNums]int64{w, 0, c.values[0], c.values[1]}})
		}
		sort.Slice(products, func(i, j int) bool {
			a, b := &products[i], &products[j]
			if a.Num[3] != b.Num[3] {
				return a.Num[3] > b.Num[3]
			}
			return strings.Compare(a.Text, b.Text) < 0
		})
		for i := range products[:min(k, len(products))] {
			products[i].Num[1] = int64(i + 1)
			rows = append(rows, products[i])
		}
	}
	return rows
}

// revenueBySegment joins the lines of customers with profiles, and adds those
// whose segment was known when they were processed.
func (s *State) revenueBySegment() []view.Row {
	for w, cells := range s.customers.windows {
		for customer, c := range cells {
			s.segments.add(w, s.profiles.segment(customer, w), c.values)
		}
	}
	return slices.Collect(s.Rows(view.SegmentWindows))
}

// segment is the customer's segment as of an instant.
func (p *Profiles) segment(customer, instant int64) string {
	if customer == 0 {
		return "guest"
	}
	cs := p.byCustomer[customer]
	i := sort.Search(len(cs), func(i int) bool { return cs[i].validFrom > instant })
	if i == 0 || cs[i-1].segment == "" {
		return "unknown"
	}
	return cs[i-1].segment
}

// distinctCustomers counts the customers of sets. Where there is a sketch too,
// the set goes into it and the number is an estimate.
func (s *State) distinctCustomers() []view.Row {
	var rows []view.Row
	for w, cells := range s.sets.windows {
		sketched := s.sketched(w)
		byCountry := map[string]int64{}
		for k := range cells {
			if sketched[k.country] {
				observe(s.sketches, w, k.country, k.customer)
			} else {
				byCountry[k.country]++
			}
		}
		for country, n := range byCountry {
			rows = append(rows, view.Row{Text: country, Num: [view.MaxNums]int64{w, n}})
		}
	}
	for w, cells := range s.sketches.windows {
		byCountry := map[string]*ranks{}
		for k, c := range cells {
			if byCountry[k.country] == nil {
				byCountry[k.country] = &ranks{}
			}
			byCountry[k.country].add(c.values)
		}
		for country, r := range byCountry {
			rows = append(rows, view.Row{Text: country, Num: [view.MaxNums]int64{w, r.estimate()}})
		}
	}
	return rows
}

// sketched are the countries that have a sketch in a window.
func (s *State) sketched(window int64) map[string]bool {
	countries := map[string]bool{}
	for k := range s.sketches.windows[window] {
		countries[k.country] = true
	}
	return countries
}

func (s *State) spendAlerts(threshold int64) []view.Row {
	var rows []view.Row
	for r := range s.Rows(view.SpendWindows) {
		if r.Num[2] >= threshold {
			rows = append(rows, r)
		}
	}
	return rows
}

// Latest answers a query with last=N by looking at ever longer stretches at the
// end of event time, until N starts have rows there; then nothing before can
// show. ask answers the query without last and limit, and tells the event times that
// it knew of.
func Latest(p view.Params, q view.Query, ask func(view.Query) (rows []view.Row, known Times, err error)) ([]view.Row, error) {
	bounded := q
	bounded.Last, bounded.Limit = 0, 0
	if q.Last <= 0 {
		rows, _, err := ask(bounded)
		return q.Apply(rows), err
	}
	schema := q.View.Schema()
	window := windowMS(p, q.View)
	from := int64(math.MaxInt64) // the first question only learns the bounds
	for reach := int64(q.Last+1) * window; ; reach *= 8 {
		low := max(from, lowest(q))
		bounded.From = &low
		rows, known, err := ask(bounded)
		if err != nil {
			return nil, err
		}
		latest := known.Latest
		if q.To != nil {
			latest = min(latest, *q.To)
		}
		starts := map[int64]struct{}{}
		for i := range rows {
			starts[schema.WindowOf(&rows[i])] = struct{}{}
		}
		if len(starts) >= q.Last || low == lowest(q) || low < known.Earliest-window {
			return q.Apply(rows), nil
		}
		from = latest - reach
	}
}

func lowest(q view.Query) int64 {
	if q.From != nil {
		return *q.From
	}
	return math.MinInt64
}

func windowMS(p view.Params, v view.Name) int64 {
	s := sizesOf(p)
	switch v {
	case view.RevenueByCountry:
		return s.tumbling
	case view.RollingRevenue:
		return s.hopSize
	case view.CustomerSessions:
		return p.SessionGap.Milliseconds()
	case view.TopProducts:
		return s.top
	case view.RevenueBySegment:
		return s.segment
	case view.DistinctCustomers:
		return s.distinct
	}
	return s.alert
}
