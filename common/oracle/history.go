package oracle

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"archbench/common/coverage"
	"archbench/common/event"
)

// History holds every record of both input topics, indexed for questions about
// prefixes. Fill it with AddOrder and AddCustomer from one goroutine. While nobody
// adds, any number of goroutines may ask.
type History struct {
	decoder  event.Decoder
	lateness *time.Duration // nil: the exact definitions alone are asked for
	blind    bool           // policy bounded recognises no duplicates
	parts    []*partition
	lines    []line // usable, first of their id or kept by policy bounded; by event time once sorted
	changes  map[int64][]change

	sorting    sync.Mutex
	sorted     bool              // lines and byCustomer are in time order
	byCustomer map[int64][]int32 // places in lines, in time order
}

// partition keeps what is judged in the order of one partition.
type partition struct {
	orders, customers int64            // next offsets
	first             map[string]claim // by id
	unusable          []mark           // of both topics
	exact             marks
	bounded           bounded
}

// marks are the places of usable lines that do not count, by why.
type marks struct{ late, duplicate, conflict []mark }

// claim is what is remembered of the line that claimed an id: enough to tell whether
// another says the same, and little, because a long log has many.
type claim struct {
	time    int64 // ms since the epoch
	content [16]byte
}

// claimOf hashes what event.OrderLine.SameContent compares.
func claimOf(l *event.OrderLine) claim {
	said := make([]byte, 0, 128)
	for _, n := range []int64{int64(l.Kind), l.CustomerID, l.Quantity, l.UnitPriceMilli, l.EventTimeMS, int64(len(l.Country))} {
		said = binary.LittleEndian.AppendUint64(said, uint64(n))
	}
	said = append(append(said, l.Country...), l.StockCode...)
	sum := sha256.Sum256(said)
	return claim{l.EventTimeMS, [16]byte(sum[:])}
}

// mark is the place of a record that counts in no view.
type mark struct {
	customers bool
	offset    int64
}

// line is what the views need of an order line.
type line struct {
	partition     int32
	kind          event.Kind
	offset        int64
	time          int64 // ms since the epoch
	customer      int64 // 0: guest
	quantity      int64
	amount        int64 // thousandths of a pound
	country, code string

	first bool // of its id, by the exact definitions
	kept  bool // by policy bounded
}

type change struct {
	partition int32
	offset    int64
	validFrom int64  // ms since the epoch
	segment   string // empty: deleted
}

// NewHistory returns an empty history of so many partitions of each topic.
func NewHistory(partitions int) *History {
	h := &History{decoder: *event.NewDecoder(), changes: map[int64][]change{}}
	for range partitions {
		h.parts = append(h.parts, &partition{first: map[string]claim{}})
	}
	return h
}

// NewBoundedHistory returns an empty history that knows, besides, what policy
// bounded with this allowed lateness keeps.
func NewBoundedHistory(partitions int, lateness time.Duration) *History {
	h := NewHistory(partitions)
	h.lateness = &lateness
	for _, p := range h.parts {
		p.bounded = bounded{lateness: lateness.Milliseconds(), watermark: math.MinInt64, first: map[string]claim{}}
	}
	return h
}

// WithoutIDs lets BoundedAnswer and BoundedCounts recognise no duplicates, as under a
// lesser guarantee; the exact definitions stay what they are. Call it before anything
// is added.
func (h *History) WithoutIDs() *History {
	h.blind = true
	for _, p := range h.parts {
		p.bounded.first = nil
	}
	return h
}

// AddOrder adds the record at the next offset of a partition of orders. Offsets
// of one partition ascend; those left out count as covered and empty.
func (h *History) AddOrder(part int, offset int64, value []byte) {
	p := h.parts[part]
	p.orders = offset + 1
	l := &event.OrderLine{}
	if err := h.decoder.Order(value, l); err != nil {
		p.unusable = append(p.unusable, mark{false, offset})
		return
	}
	first, kept := p.isFirst(l, offset), h.lateness != nil && p.bounded.keeps(l, offset)
	if !first && !kept && !h.blind {
		return
	}
	h.sorted = false
	h.lines = append(h.lines, line{
		partition: int32(part), kind: l.Kind, offset: offset, time: l.EventTimeMS, customer: l.CustomerID,
		quantity: l.Quantity, amount: l.AmountMilli(), country: l.Country, code: l.StockCode, first: first, kept: kept,
	})
}

// isFirst says whether a line is the first of its id.
func (p *partition) isFirst(l *event.OrderLine, offset int64) bool {
	first, seen := p.first[l.EventID]
	if !seen {
		p.first[l.EventID] = claimOf(l)
		return true
	}
	p.exact.repeated(first, l, offset)
	return false
}

// repeated marks a line whose id another one has.
func (m *marks) repeated(first claim, l *event.OrderLine, offset int64) {
	m.duplicate = append(m.duplicate, mark{false, offset})
	if first != claimOf(l) {
		m.conflict = append(m.conflict, mark{false, offset})
	}
}

// AddCustomer adds the record at the next offset of a partition of customers.
func (h *History) AddCustomer(part int, offset int64, value []byte) {
	p := h.parts[part]
	p.customers = offset + 1
	var c event.ProfileChange
	if err := h.decoder.Profile(value, &c); err != nil {
		p.unusable = append(p.unusable, mark{true, offset})
		return
	}
	h.changes[c.CustomerID] = append(h.changes[c.CustomerID], change{int32(part), offset, c.ValidFromMS, c.Segment})
}

// End is the coverage of everything added so far.
func (h *History) End() coverage.Coverage {
	c := coverage.Zero(len(h.parts))
	for i, p := range h.parts {
		c.Orders[i], c.Customers[i] = p.orders, p.customers
	}
	return c
}

// Counts are the records of a prefix by what became of them.
type Counts struct {
	Lines     int64 // usable lines that count
	Late      int64 // lines that policy bounded drops
	Duplicate int64 // later records of a claimed id, conflicts included
	Conflict  int64 // duplicates with other content
	Unusable  int64 // records of both topics that belong in the dead-letter queue
	Changes   int64 // usable profile changes
}

// Counts counts the records within the prefixes by the exact definitions.
func (h *History) Counts(at coverage.Coverage) (Counts, error) {
	return h.counts(at, exactly(at), func(p *partition) *marks { return &p.exact })
}

// BoundedCounts counts them as policy bounded judges them.
func (h *History) BoundedCounts(at coverage.Coverage) (Counts, error) {
	if h.lateness == nil {
		return Counts{}, errNotBounded
	}
	return h.counts(at, h.boundedly(at, coverage.Zero(len(h.parts))), func(p *partition) *marks { return &p.bounded.marks })
}

func (h *History) counts(at coverage.Coverage, counted set, of func(*partition) *marks) (Counts, error) {
	if err := h.check(at); err != nil {
		return Counts{}, err
	}
	h.index()
	var c Counts
	for i := range h.lines {
		if counted(&h.lines[i]) {
			c.Lines++
		}
	}
	for _, cs := range h.changes {
		for i := range cs {
			if cs[i].in(at) {
				c.Changes++
			}
		}
	}
	for i, p := range h.parts {
		c.Late += within(of(p).late, i, at)
		c.Duplicate += within(of(p).duplicate, i, at)
		c.Conflict += within(of(p).conflict, i, at)
		c.Unusable += within(p.unusable, i, at)
	}
	return c, nil
}

func within(marks []mark, part int, at coverage.Coverage) (n int64) {
	for _, m := range marks {
		if m.customers && m.offset < at.Customers[part] || !m.customers && m.offset < at.Orders[part] {
			n++
		}
	}
	return n
}

func (c *change) in(at coverage.Coverage) bool { return c.offset < at.Customers[c.partition] }

// check refuses a coverage of another shape, or of records that are not there.
func (h *History) check(at coverage.Coverage) error {
	if len(at.Orders) != len(h.parts) || len(at.Customers) != len(h.parts) {
		return fmt.Errorf("coverage %s names %d and %d partitions, the history has %d of each", at, len(at.Orders), len(at.Customers), len(h.parts))
	}
	if end := h.End(); !end.AtLeast(at) {
		return fmt.Errorf("coverage %s reaches beyond the log's end %s", at, end)
	}
	return nil
}

// index sorts the lines by time, where any came since the last question.
func (h *History) index() {
	h.sorting.Lock()
	defer h.sorting.Unlock()
	if h.sorted {
		return
	}
	slices.SortFunc(h.lines, func(a, b line) int { return cmp.Compare(a.time, b.time) })
	h.byCustomer = map[int64][]int32{}
	for i := range h.lines {
		if c := h.lines[i].customer; c != 0 {
			h.byCustomer[c] = append(h.byCustomer[c], int32(i))
		}
	}
	h.sorted = true
}
