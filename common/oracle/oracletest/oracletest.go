package oracletest

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"archbench/common/coverage"
	"archbench/common/event"
	"archbench/common/eventlog"
	"archbench/common/oracle"
	"archbench/common/view"
)

// Record is one record of a random history, in the order of sending.
type Record struct {
	Customers  bool // on topic customers, else orders
	Key, Value []byte
}

// base is where the random histories lie in event time: an hour that begins no window of an odd size.
var base = time.Date(2025, 3, 1, 9, 17, 23, 456e6, time.UTC).UnixMilli()

// Maker makes records. Ids never repeat but as duplicates that it means to make.
type Maker struct {
	rng   *rand.Rand
	next  int
	clock int64 // event time that advances, ms
	lines []event.OrderLine
}

// NewMaker returns a Maker on a random source.
func NewMaker(rng *rand.Rand) *Maker { return &Maker{rng: rng, clock: base} }

var (
	countries = []string{"United Kingdom", "United Kingdom", "United Kingdom", "France", "EIRE", "Österreich", "a,\"b\""}
	codes     = []string{"85123A", "85123a", "22423", "POST", "post", "M", "m", "dcgs0003", "GIFT_0001_20", "gift_0001_", "GIFT_0001", "PADS", "BANK CHARGES", "22423B", "ß1", "ız"}
	segments  = event.Segments()
)

// Clock is the event time, in ms, that no usable line has come after.
func (m *Maker) Clock() int64 { return m.clock }

// Next makes one record: mostly order lines, now and then a profile change, a
// duplicate (one in four with other content), or an unusable record.
func (m *Maker) Next() Record {
	switch n := m.rng.IntN(100); {
	case n < 12:
		return m.Profile()
	case n < 22 && len(m.lines) > 0:
		return m.Duplicate()
	case n < 26:
		return m.Unusable()
	}
	return m.Line()
}

// Make makes n records.
func (m *Maker) Make(n int) []Record {
	rs := make([]Record, n)
	for i := range rs {
		rs[i] = m.Next()
	}
	return rs
}

// Line makes a new order line: in order, out of order, late, or tied with the one before.
func (m *Maker) Line() Record {
	m.next++
	switch m.rng.IntN(6) {
	case 0: // a tie
	case 1:
		m.clock += m.rng.Int64N(40 * 60_000)
	default:
		m.clock += m.rng.Int64N(20_000)
	}
	at := m.clock
	switch m.rng.IntN(8) {
	case 0:
		at -= m.rng.Int64N(5 * 60_000)
	case 1:
		at -= m.rng.Int64N(26 * 3_600_000)
	}
	l := event.OrderLine{
		Version: 1 + m.rng.IntN(2), EventID: fmt.Sprintf("e%d-%d", m.next/3, m.next), OrderID: fmt.Sprintf("o%d", m.next/3), Line: int64(m.next),
		Kind: event.Kind(1 + max(0, m.rng.IntN(6)-3)), CustomerID: int64(m.rng.IntN(9)), Country: pick(m.rng, countries), StockCode: pick(m.rng, codes),
		Quantity: 1 + m.rng.Int64N(30), UnitPriceMilli: 1 + m.rng.Int64N(40_000), EventTimeMS: at, EmittedUS: at * 1000,
	}
	if m.rng.IntN(5) == 0 {
		l.Quantity, l.UnitPriceMilli = 10, 1000 // ties in rankings
	}
	switch l.Kind {
	case event.Cancellation:
		l.Quantity = -l.Quantity
	case event.Adjustment:
		l.Quantity, l.UnitPriceMilli = m.rng.Int64N(21)-10, m.rng.Int64N(3)-1
	}
	if l.Version == 2 && m.rng.IntN(2) == 0 {
		l.Channel = "web"
	}
	m.lines = append(m.lines, l)
	return recordOf(&l)
}

// Duplicate sends a line again, sometimes with other content, which may be another time.
func (m *Maker) Duplicate() Record {
	l := pick(m.rng, m.lines)
	l.EmittedUS++
	if m.rng.IntN(4) == 0 {
		l.Quantity, l.UnitPriceMilli = 7, 7777
		if m.rng.IntN(2) == 0 {
			l.EventTimeMS = m.clock
		}
	}
	return recordOf(&l)
}

// Profile makes a change of one of the customers, often before lines that were sent already.
func (m *Maker) Profile() Record {
	c := event.ProfileChange{Version: 1, CustomerID: 1 + m.rng.Int64N(9), ValidFromMS: m.clock - m.rng.Int64N(30*3_600_000), EmittedUS: 1}
	if m.rng.IntN(3) == 0 {
		c.ValidFromMS = m.clock - m.clock%3_600_000 // on a window's start, and ties
	}
	if m.rng.IntN(5) == 0 {
		c.Deleted = true
	} else {
		c.Segment = pick(m.rng, segments)
	}
	return Record{Customers: true, Key: strconv.AppendInt(nil, c.CustomerID, 10), Value: event.AppendProfile(nil, &c)}
}

// Unusable makes one of the records that belong in the dead-letter queue.
func (m *Maker) Unusable() Record {
	good := Record{}
	if len(m.lines) > 0 {
		l := pick(m.rng, m.lines)
		good = recordOf(&l)
	}
	values := UnusableOrders()
	if m.rng.IntN(4) == 0 {
		values = UnusableProfiles()
		return Record{Customers: true, Key: []byte("5"), Value: pick(m.rng, values)}
	}
	key := []byte(strconv.Itoa(m.rng.IntN(9)))
	if good.Key != nil && m.rng.IntN(4) == 0 {
		return Record{Key: good.Key, Value: append(good.Value, " x"...)}
	}
	return Record{Key: key, Value: pick(m.rng, values)}
}

// UnusableOrders are values of topic orders that break a rule each.
func UnusableOrders() [][]byte {
	const line = `"event_id":"bad","order_id":"bad","kind":"sale","customer_id":1,"country":"France","stock_code":"1","quantity":1,"unit_price_milli":1,"event_time_ms":1740000000000`
	return [][]byte{
		nil, {}, []byte("not json"), []byte("[]"), []byte("{}"), []byte(`{"v":1}`), []byte("\xff\xfe"),
		[]byte(`{"v":9,` + line + `}`), []byte(`{"v":1,"v":1,` + line + `}`), []byte(`{"v":1,` + line + `}{}`), []byte(`{"v":1.0,` + line + `}`),
		[]byte(`{"v":1,"line":"x",` + line + `}`), []byte(`{"v":1,` + line),
	}
}

// UnusableProfiles are values of topic customers that break a rule each.
func UnusableProfiles() [][]byte {
	return [][]byte{
		nil, []byte("x"), []byte(`{"v":1,"customer_id":5,"valid_from_ms":1740000000000}`),
		[]byte(`{"v":1,"customer_id":5,"segment":"gold","valid_from_ms":1740000000000}`),
		[]byte(`{"v":1,"customer_id":5,"segment":"vip","deleted":true,"valid_from_ms":1740000000000}`),
		[]byte(`{"v":1,"customer_id":-5,"segment":"vip","valid_from_ms":1740000000000}`),
	}
}

func recordOf(l *event.OrderLine) Record {
	return Record{Key: event.AppendKey(nil, l), Value: event.AppendOrder(nil, l)}
}

func pick[T any](rng *rand.Rand, from []T) T { return from[rng.IntN(len(from))] }

// Placed is a record with the place that a log gives it.
type Placed struct {
	Record
	Partition int
	Offset    int64
}

// Place puts records into partitions as a log would.
func Place(records []Record, partitions int) []Placed {
	at := coverage.Zero(partitions)
	placed := make([]Placed, len(records))
	for i, r := range records {
		p := eventlog.Partition(r.Key, partitions)
		next := at.Orders
		if r.Customers {
			next = at.Customers
		}
		placed[i] = Placed{r, p, next[p]}
		next[p]++
	}
	return placed
}

// History is the oracle's view of placed records.
func History(placed []Placed, partitions int) *oracle.History {
	return Add(oracle.NewHistory(partitions), placed)
}

// BoundedHistory is the same with what policy bounded keeps.
func BoundedHistory(placed []Placed, partitions int, lateness time.Duration) *oracle.History {
	return Add(oracle.NewBoundedHistory(partitions, lateness), placed)
}

// HistoryWithoutIDs is the same where the policy recognises no duplicates.
func HistoryWithoutIDs(placed []Placed, partitions int, lateness time.Duration) *oracle.History {
	return Add(oracle.NewBoundedHistory(partitions, lateness).WithoutIDs(), placed)
}

// Add adds records to a history that holds all before them, and returns it.
func Add(h *oracle.History, placed []Placed) *oracle.History {
	for _, r := range placed {
		if r.Customers {
			h.AddCustomer(r.Partition, r.Offset, r.Value)
		} else {
			h.AddOrder(r.Partition, r.Offset, r.Value)
		}
	}
	return h
}

// Lateness makes an allowed lateness: none, the usual one, or any up to beyond the
// latest line that a Maker makes.
func Lateness(rng *rand.Rand) time.Duration {
	switch rng.IntN(5) {
	case 0:
		return 0
	case 1:
		return time.Duration(rng.Int64N(30*3_600_000)) * time.Millisecond
	case 2:
		return time.Duration(rng.Int64N(60_000)) * time.Millisecond
	}
	return 10 * time.Minute
}

// Params makes valid parameters, usual and unusual.
func Params(rng *rand.Rand) view.Params {
	p := view.DefaultParams()
	if rng.IntN(3) == 0 {
		p.AlertThresholdMilli, p.TopK = 100_000, 3
		return p
	}
	size := func() time.Duration {
		if rng.IntN(2) == 0 {
			return time.Duration(1+rng.Int64N(180)) * time.Minute
		}
		return time.Duration(1000+rng.Int64N(20_000_000)) * time.Millisecond
	}
	p.Tumbling, p.Top, p.Segment, p.Distinct, p.Alert, p.SessionGap = size(), size(), size(), size(), size(), size()
	p.HopSlide = size()
	p.HopSize = p.HopSlide * time.Duration(1+rng.IntN(12))
	p.TopK, p.AlertThresholdMilli = 1+rng.IntN(5), 1+rng.Int64N(2_000_000)
	return p
}

// Query makes a query of a random view with bounds near the histories' times.
func Query(rng *rand.Rand) view.Query {
	q := view.Query{View: pick(rng, view.Names())}
	bound := func() *int64 {
		at := base + rng.Int64N(60*3_600_000) - 30*3_600_000
		if rng.IntN(2) == 0 {
			at -= at % 3_600_000
		}
		return &at
	}
	if rng.IntN(2) == 0 {
		q.From = bound()
	}
	if rng.IntN(3) == 0 {
		q.To = bound()
	}
	if rng.IntN(3) == 0 {
		q.Last = 1 + rng.IntN(5)
	}
	if rng.IntN(4) == 0 {
		q.Limit = 1 + rng.IntN(6)
	}
	return q
}

// Prefix is a random coverage within h.
func Prefix(rng *rand.Rand, end coverage.Coverage) coverage.Coverage {
	at := end.Clone()
	for i := range at.Orders {
		at.Orders[i] = rng.Int64N(at.Orders[i] + 1)
		at.Customers[i] = rng.Int64N(at.Customers[i] + 1)
	}
	return at
}
