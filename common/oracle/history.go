package oracle

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	"archbench/common/coverage"
	"archbench/common/event"
)

// History holds every record of both input topics, indexed for questions about
// prefixes. Fill it with AddOrder and AddCustomer from one goroutine. While nobody
// adds, any number of goroutines may ask.
type History struct {
	decoder event.Decoder
	parts   []*partition
	blind   bool   // recognises no duplicates
	lines   []line // usable, first of their id; by event time once sorted
	changes map[int64][]change

	sorting    sync.Mutex
	sorted     bool              // lines and byCustomer are in time order
	byCustomer map[int64][]int32 // places in lines, in time order
}

// partition keeps what is judged in the order of one partition.
type partition struct {
	orders, customers int64 // next offsets
	first             map[string]event.OrderLine
	unusable          []mark // of both topics
	duplicate         []mark
	conflict          []mark
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
		h.parts = append(h.parts, &partition{first: map[string]event.OrderLine{}})
	}
	return h
}

// WithoutIDs makes every usable line count, however often its id came: the truth
// where duplicates are not recognised. Call it before anything is added.
func (h *History) WithoutIDs() *History {
	h.blind = true
	return h
}

// AddOrder adds the record at the next offset of a partition of orders. Offsets
// of one partition ascend; those left out count as covered and empty.
func (h *History) AddOrder(part int, offset int64, value []byte) {
	p := h.parts[part]
	p.orders = offset + 1
	var l event.OrderLine
	if err := h.decoder.Order(value, &l); err != nil {
		p.unusable = append(p.unusable, mark{false, offset})
		return
	}
	if first, seen := p.first[l.EventID]; seen && !h.blind {
		p.duplicate = append(p.duplicate, mark{false, offset})
		if !first.SameContent(&l) {
			p.conflict = append(p.conflict, mark{false, offset})
		}
		return
	}
	p.first[l.EventID] = l
	h.sorted = false
	h.lines = append(h.lines, line{
		partition: int32(part), kind: l.Kind, offset: offset, time: l.EventTimeMS, customer: l.CustomerID,
		quantity: l.Quantity, amount: l.AmountMilli(), country: l.Country, code: l.StockCode,
	})
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
	Lines     int64 // usable lines that are the first of their id
	Duplicate int64 // later records of a claimed id, conflicts included
	Conflict  int64 // duplicates with other content
	Unusable  int64 // records of both topics that belong in the dead-letter queue
	Changes   int64 // usable profile changes
}

// Counts counts the records within the prefixes.
func (h *History) Counts(at coverage.Coverage) (Counts, error) {
	if err := h.check(at); err != nil {
		return Counts{}, err
	}
	h.index()
	var c Counts
	for i := range h.lines {
		if h.lines[i].in(at) {
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
		c.Duplicate += within(p.duplicate, i, at)
		c.Conflict += within(p.conflict, i, at)
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

func (l *line) in(at coverage.Coverage) bool   { return l.offset < at.Orders[l.partition] }
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
