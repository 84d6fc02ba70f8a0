package oracle

import (
	"errors"
	"fmt"

	"archbench/common/coverage"
	"archbench/common/event"
	"archbench/common/view"
)

// errNotBounded is for a question under policy bounded to a history that does not
// know the allowed lateness.
var errNotBounded = errors.New("the history was not made for policy bounded")

// bounded judges the usable lines of one partition, in the order of the log, as
// policy bounded does: late, duplicate, or kept. It forgets no id, and looks
// instead whether the policy still knows the one that it finds.
type bounded struct {
	lateness  int64            // ms
	watermark int64            // greatest event time so far, ms
	first     map[string]claim // nil: ids are not recognised
	marks     marks
}

// keeps judges the next line.
func (b *bounded) keeps(l *event.OrderLine, offset int64) bool {
	watermark := b.watermark
	b.watermark = max(b.watermark, l.EventTimeMS)
	inTime := func(at int64) bool { return at+b.lateness >= watermark }
	if !inTime(l.EventTimeMS) {
		b.marks.late = append(b.marks.late, mark{false, offset})
		return false
	}
	if b.first == nil {
		return true
	}
	if first, seen := b.first[l.EventID]; seen && inTime(first.time) {
		b.marks.repeated(first, l, offset)
		return false
	}
	b.first[l.EventID] = claimOf(l)
	return true
}

// set says which lines an answer is about.
type set func(*line) bool

// exactly is the first line of each id within the prefixes.
func exactly(at coverage.Coverage) set {
	return func(l *line) bool { return l.first && l.offset < at.Orders[l.partition] }
}

// boundedly is the first line of each id up to the seam, or every one where ids are
// not recognised, and from there on what policy bounded keeps.
func (h *History) boundedly(at, seam coverage.Coverage) set {
	return func(l *line) bool {
		if l.offset < seam.Orders[l.partition] {
			return l.first || h.blind
		}
		return l.kept && l.offset < at.Orders[l.partition]
	}
}

// BoundedAnswer returns the rows that an answer under policy bounded must have:
// everything up to the seam (nil: no seam) by the exact definitions, and what the
// policy keeps of the rest. Two views are not the policy's own here: the rows of
// revenue_by_segment join with all changes within the coverage, so that only their
// totals, and those of guests, bind an answer; the rows of distinct_customers count
// exactly what a sketch estimates. With the coverage itself as the seam all of it is
// exact but for ids, where they are not recognised.
func (h *History) BoundedAnswer(at coverage.Coverage, seam *coverage.Coverage, r view.Rules, p view.Params, q view.Query) ([]view.Row, error) {
	if h.lateness == nil {
		return nil, errNotBounded
	}
	if err := h.check(at); err != nil {
		return nil, err
	}
	exact := coverage.Zero(len(h.parts))
	if seam != nil {
		exact = *seam
	}
	if len(exact.Orders) != len(h.parts) || len(exact.Customers) != len(h.parts) || !at.AtLeast(exact) {
		return nil, fmt.Errorf("seam %s is not within coverage %s", exact, at)
	}
	return h.answer(at, h.boundedly(at, exact), r, p, q)
}
