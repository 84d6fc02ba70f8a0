package oracle

import (
	"cmp"
	"slices"

	"archbench/common/coverage"
	"archbench/common/event"
	"archbench/common/view"
)

// Alert is a crossing line: the lowest offset at which a customer's sum of a window,
// summed in the order of offsets, reaches the threshold.
type Alert struct {
	WindowStart, CustomerID int64
	GrossMilli              int64 // the sum with the line, thousandths of a pound
	Partition               int   // of orders
	Offset                  int64
}

// Alerts returns the crossing lines under some rules whose place in orders lies in
// [from, to), by partition and offset, by the exact definitions.
func (h *History) Alerts(from, to coverage.Coverage, r view.Rules, p view.Params) ([]Alert, error) {
	return h.alerts(from, to, exactly(to), r, p)
}

// BoundedAlerts returns them of the lines that policy bounded keeps, from the
// beginning of the log on, whatever an answer's seam.
func (h *History) BoundedAlerts(from, to coverage.Coverage, r view.Rules, p view.Params) ([]Alert, error) {
	return h.alertsBehind(coverage.Zero(len(h.parts)), from, to, r, p)
}

// AlertsWithoutIDs returns them by definitions that are exact but for ids, which the
// history must not recognise.
func (h *History) AlertsWithoutIDs(from, to coverage.Coverage, r view.Rules, p view.Params) ([]Alert, error) {
	return h.alertsBehind(to, from, to, r, p)
}

func (h *History) alertsBehind(seam, from, to coverage.Coverage, r view.Rules, p view.Params) ([]Alert, error) {
	if h.lateness == nil {
		return nil, errNotBounded
	}
	return h.alerts(from, to, h.boundedly(to, seam), r, p)
}

func (h *History) alerts(from, to coverage.Coverage, counted set, r view.Rules, p view.Params) ([]Alert, error) {
	for _, at := range []coverage.Coverage{from, to} {
		if err := h.check(at); err != nil {
			return nil, err
		}
	}
	if err := p.Validate(); err != nil {
		return nil, err
	}
	code, err := codesOf(r)
	if err != nil {
		return nil, err
	}
	h.index()
	var sales []*line
	for i := range h.lines {
		l := &h.lines[i]
		if _, counts := code(l.code); counts && counted(l) && l.kind == event.Sale && l.customer != 0 {
			sales = append(sales, l)
		}
	}
	slices.SortFunc(sales, func(a, b *line) int {
		return cmp.Or(cmp.Compare(a.partition, b.partition), cmp.Compare(a.offset, b.offset))
	})
	var found []Alert
	sums := map[windowCustomer]int64{}
	for _, l := range sales {
		k := windowCustomer{windowOf(l.time, p.Alert.Milliseconds()), l.customer}
		before := sums[k]
		sums[k] += l.amount
		reached := before < p.AlertThresholdMilli && sums[k] >= p.AlertThresholdMilli
		if reached && l.offset >= from.Orders[l.partition] {
			found = append(found, Alert{k.start, k.customer, sums[k], int(l.partition), l.offset})
		}
	}
	return found, nil
}
