package oracle

import (
	"cmp"
	"slices"
	"sort"
	"strings"

	"archbench/common/coverage"
	"archbench/common/event"
	"archbench/common/view"
)

// Answer returns the rows that an answer to q at this coverage must have by the
// exact definitions.
func (h *History) Answer(at coverage.Coverage, r view.Rules, p view.Params, q view.Query) ([]view.Row, error) {
	return h.answer(at, exactly(at), r, p, q)
}

func (h *History) answer(at coverage.Coverage, lines set, r view.Rules, p view.Params, q view.Query) ([]view.Row, error) {
	if err := h.check(at); err != nil {
		return nil, err
	}
	if err := p.Validate(); err != nil {
		return nil, err
	}
	codes, err := codesOf(r)
	if err != nil {
		return nil, err
	}
	h.index()
	t := truth{h: h, at: at, counted: lines, params: p, code: codes}
	rows := t.rowsOf(q)
	q.View.Schema().Sort(rows)
	return q.Apply(rows), nil
}

// truth is one question's view of the history.
type truth struct {
	h       *History
	at      coverage.Coverage
	counted set
	params  view.Params
	code    codeUnder
}

// rowsOf returns all rows that q can show, and perhaps more.
func (t *truth) rowsOf(q view.Query) []view.Row {
	lines := t.h.lines
	if len(lines) == 0 {
		return nil
	}
	// A window that holds a line starts after (first line − size) and not after the last line.
	from, to := lines[0].time-t.sizeMS(q.View), lines[len(lines)-1].time+1
	if q.From != nil {
		from = max(from, *q.From)
	}
	if q.To != nil {
		to = min(to, *q.To)
	}
	if from >= to {
		return nil
	}
	// With last=N, look at ever longer stretches at the end until N starts have rows there.
	if q.Last > 0 {
		step := t.stepMS(q.View)
		for n := int64(q.Last); n < (to-from)/step; n *= 8 {
			rows := t.rows(q.View, to-n*step, to)
			if distinctStarts(q.View, rows) >= q.Last {
				return rows
			}
		}
	}
	return t.rows(q.View, from, to)
}

func distinctStarts(v view.Name, rows []view.Row) int {
	schema, starts := v.Schema(), map[int64]bool{}
	for i := range rows {
		starts[schema.WindowOf(&rows[i])] = true
	}
	return len(starts)
}

// sizeMS is how long a window of the view is; a session that starts at a line needs no more than that line.
func (t *truth) sizeMS(v view.Name) int64 {
	switch v {
	case view.RevenueByCountry:
		return t.params.Tumbling.Milliseconds()
	case view.RollingRevenue:
		return t.params.HopSize.Milliseconds()
	case view.CustomerSessions:
		return t.params.SessionGap.Milliseconds()
	case view.TopProducts:
		return t.params.Top.Milliseconds()
	case view.RevenueBySegment:
		return t.params.Segment.Milliseconds()
	case view.DistinctCustomers:
		return t.params.Distinct.Milliseconds()
	default:
		return t.params.Alert.Milliseconds()
	}
}

// stepMS is the distance from one window's start to the next.
func (t *truth) stepMS(v view.Name) int64 {
	if v == view.RollingRevenue {
		return t.params.HopSlide.Milliseconds()
	}
	return t.sizeMS(v)
}

// rows computes all rows of the view whose start lies in [from, to).
func (t *truth) rows(v view.Name, from, to int64) []view.Row {
	var rows []view.Row
	switch v {
	case view.RevenueByCountry:
		rows = t.revenueByCountry(from, to)
	case view.RollingRevenue:
		rows = t.rollingRevenue(from, to)
	case view.CustomerSessions:
		rows = t.customerSessions(from, to)
	case view.TopProducts:
		rows = t.topProducts(from, to)
	case view.RevenueBySegment:
		rows = t.revenueBySegment(from, to)
	case view.DistinctCustomers:
		rows = t.distinctCustomers(from, to)
	case view.SpendAlerts:
		rows = t.spendAlerts(from, to)
	}
	schema := v.Schema()
	return slices.DeleteFunc(rows, func(r view.Row) bool {
		start := schema.WindowOf(&r)
		return start < from || start >= to
	})
}

// each calls f for the lines that count and may lie in a window of this size that starts in [from, to).
func (t *truth) each(from, to, size int64, f func(l *line, code string)) {
	lines := t.h.lines
	i := sort.Search(len(lines), func(i int) bool { return lines[i].time >= from })
	for ; i < len(lines); i++ {
		l := &lines[i]
		if l.time-size >= to {
			return
		}
		if code, counts := t.counts(l); counts {
			f(l, code)
		}
	}
}

// counts reports whether a line is in the prefix and in the rules, and under which code.
func (t *truth) counts(l *line) (string, bool) {
	if !t.counted(l) {
		return "", false
	}
	return t.code(l.code)
}

type windowText struct {
	start int64
	text  string
}

type windowCustomer struct {
	start, customer int64
}

// sums are the measures of a group of lines.
type sums struct{ lines, units, gross, cancelled int64 }

func (s *sums) add(l *line) {
	s.lines++
	s.units += l.quantity
	switch l.kind {
	case event.Sale:
		s.gross += l.amount
	case event.Cancellation:
		s.cancelled += l.amount
	}
}

func (s *sums) merge(o *sums) {
	s.lines += o.lines
	s.units += o.units
	s.gross += o.gross
	s.cancelled += o.cancelled
}

func (s sums) net() int64 { return s.gross + s.cancelled }

// group returns the sums of a key, made on first use.
func group[K comparable](m map[K]*sums, k K) *sums {
	s := m[k]
	if s == nil {
		s = &sums{}
		m[k] = s
	}
	return s
}

// windows sums lines by window and key. They come in time order, so one window is
// open at a time, and done takes it when the next begins.
type windows[K comparable] struct {
	size, start int64 // ms
	keys        map[K]*sums
	done        func(start int64, keys map[K]*sums)
}

func newWindows[K comparable](size int64, done func(int64, map[K]*sums)) *windows[K] {
	return &windows[K]{size: size, keys: map[K]*sums{}, done: done}
}

func (w *windows[K]) add(l *line, k K) {
	if start := windowOf(l.time, w.size); start != w.start {
		w.finish()
		w.start = start
	}
	group(w.keys, k).add(l)
}

// finish hands on the open window.
func (w *windows[K]) finish() {
	if len(w.keys) > 0 {
		w.done(w.start, w.keys)
		clear(w.keys)
	}
}

func (t *truth) revenueByCountry(from, to int64) []view.Row {
	var rows []view.Row
	w := newWindows(t.sizeMS(view.RevenueByCountry), func(start int64, countries map[string]*sums) {
		for country, s := range countries {
			rows = append(rows, view.Row{Text: country, Num: [view.MaxNums]int64{start, s.lines, s.units, s.gross, s.cancelled, s.net()}})
		}
	})
	t.each(from, to, w.size, func(l *line, _ string) { w.add(l, l.country) })
	w.finish()
	return rows
}

// rollingRevenue sums the lines of a slide's length first: all of them are in the
// same windows, because the size is a multiple of the slide.
func (t *truth) rollingRevenue(from, to int64) []view.Row {
	size, slide := t.sizeMS(view.RollingRevenue), t.stepMS(view.RollingRevenue)
	slides, windows := map[windowText]*sums{}, map[windowText]*sums{}
	t.each(from, to, size, func(l *line, _ string) {
		group(slides, windowText{windowOf(l.time, slide), l.country}).add(l)
	})
	for k, s := range slides {
		for start := k.start; start > k.start-size && start >= from; start -= slide {
			if start < to {
				group(windows, windowText{start, k.text}).merge(s)
			}
		}
	}
	var rows []view.Row
	for k, s := range windows {
		rows = append(rows, view.Row{Text: k.text, Num: [view.MaxNums]int64{k.start, s.lines, s.gross, s.net()}})
	}
	return rows
}

// customerSessions looks at the customers that have a line in the range. A line
// before (from − gap) has no say in a session that starts at from or later; the
// session that is found to start between the two may have begun earlier, but in
// any case before from, and is not asked for.
func (t *truth) customerSessions(from, to int64) []view.Row {
	customers := map[int64]bool{}
	t.each(from, to, 0, func(l *line, _ string) {
		if l.customer != 0 {
			customers[l.customer] = true
		}
	})
	var rows []view.Row
	for customer := range customers {
		rows = t.sessionsOf(customer, from, to, rows)
	}
	return rows
}

// sessionsOf appends the sessions of one customer, from the line at (from − gap) on, up to the first that starts at to or later.
func (t *truth) sessionsOf(customer, from, to int64, rows []view.Row) []view.Row {
	gap := t.params.SessionGap.Milliseconds()
	places := t.h.byCustomer[customer]
	first := sort.Search(len(places), func(i int) bool { return t.h.lines[places[i]].time >= from-gap })
	var open *view.Row // customer, start, end, lines, net
	for _, place := range places[first:] {
		l := &t.h.lines[place]
		if _, counts := t.counts(l); !counts {
			continue
		}
		if open == nil || l.time-open.Num[2] > gap {
			if l.time >= to {
				break
			}
			rows = append(rows, view.Row{Num: [view.MaxNums]int64{customer, l.time}})
			open = &rows[len(rows)-1]
		}
		open.Num[2] = l.time
		open.Num[3]++
		if l.kind != event.Adjustment {
			open.Num[4] += l.amount
		}
	}
	return rows
}

func (t *truth) topProducts(from, to int64) []view.Row {
	var rows, products []view.Row
	w := newWindows(t.sizeMS(view.TopProducts), func(start int64, codes map[string]*sums) {
		products = products[:0] // rank still empty
		for code, s := range codes {
			products = append(products, view.Row{Text: code, Num: [view.MaxNums]int64{start, 0, s.units, s.gross}})
		}
		slices.SortFunc(products, func(a, b view.Row) int {
			return cmp.Or(cmp.Compare(b.Num[3], a.Num[3]), strings.Compare(a.Text, b.Text))
		})
		for i := range products[:min(len(products), t.params.TopK)] {
			products[i].Num[1] = int64(i + 1)
			rows = append(rows, products[i])
		}
	})
	t.each(from, to, w.size, func(l *line, code string) {
		if l.kind == event.Sale {
			w.add(l, code)
		}
	})
	w.finish()
	return rows
}

func (t *truth) revenueBySegment(from, to int64) []view.Row {
	size := t.sizeMS(view.RevenueBySegment)
	groups := map[windowText]*sums{}
	segments := map[windowCustomer]string{}
	t.each(from, to, size, func(l *line, _ string) {
		at := windowCustomer{windowOf(l.time, size), l.customer}
		segment, known := segments[at]
		if !known {
			segment = t.segmentAsOf(at.customer, at.start)
			segments[at] = segment
		}
		group(groups, windowText{at.start, segment}).add(l)
	})
	var rows []view.Row
	for k, s := range groups {
		rows = append(rows, view.Row{Text: k.text, Num: [view.MaxNums]int64{k.start, s.lines, s.net()}})
	}
	return rows
}

// segmentAsOf finds the change with the greatest valid_from at or before the
// instant, the later offset where two tie.
func (t *truth) segmentAsOf(customer, instant int64) string {
	if customer == 0 {
		return "guest"
	}
	var latest *change
	changes := t.h.changes[customer]
	for i := range changes {
		c := &changes[i]
		if !c.in(t.at) || c.validFrom > instant {
			continue
		}
		if latest == nil || c.validFrom > latest.validFrom || c.validFrom == latest.validFrom && c.offset > latest.offset {
			latest = c
		}
	}
	if latest == nil || latest.segment == "" {
		return "unknown"
	}
	return latest.segment
}

func (t *truth) distinctCustomers(from, to int64) []view.Row {
	size := t.sizeMS(view.DistinctCustomers)
	sets := map[windowText]map[int64]bool{}
	t.each(from, to, size, func(l *line, _ string) {
		if l.customer == 0 {
			return
		}
		k := windowText{windowOf(l.time, size), l.country}
		if sets[k] == nil {
			sets[k] = map[int64]bool{}
		}
		sets[k][l.customer] = true
	})
	var rows []view.Row
	for k, set := range sets {
		rows = append(rows, view.Row{Text: k.text, Num: [view.MaxNums]int64{k.start, int64(len(set))}})
	}
	return rows
}

func (t *truth) spendAlerts(from, to int64) []view.Row {
	var rows []view.Row
	w := newWindows(t.sizeMS(view.SpendAlerts), func(start int64, customers map[int64]*sums) {
		for customer, s := range customers {
			if s.gross >= t.params.AlertThresholdMilli {
				rows = append(rows, view.Row{Num: [view.MaxNums]int64{start, customer, s.gross}})
			}
		}
	})
	t.each(from, to, w.size, func(l *line, _ string) {
		if l.customer != 0 && l.kind == event.Sale {
			w.add(l, l.customer)
		}
	})
	w.finish()
	return rows
}
