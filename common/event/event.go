package event

import "fmt"

// Kind says what an order line records. The zero value is no kind.
type Kind uint8

// The three kinds of order line. Only a sale must have positive quantity and price.
const (
	Sale Kind = iota + 1
	Cancellation
	Adjustment
)

var kindNames = [...]string{Sale: "sale", Cancellation: "cancellation", Adjustment: "adjustment"}

// String returns the kind as it is spelled in JSON.
func (k Kind) String() string {
	if k >= Sale && int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// ParseKind reads a kind as it is spelled in JSON; ok is false for any other text.
func ParseKind(s string) (k Kind, ok bool) {
	for k := Sale; int(k) < len(kindNames); k++ {
		if kindNames[k] == s {
			return k, true
		}
	}
	return 0, false
}

// Limits on what a usable record may hold.
const (
	// MaxValueBytes is the longest record value that is looked at.
	MaxValueBytes = 64 << 10
	// MaxAmountMilli bounds |quantity × unit_price_milli|, in thousandths of a pound.
	MaxAmountMilli = 1_000_000_000_000
	// MinTimeMS is 2000-01-01T00:00:00Z, the first usable event time, ms since the epoch.
	MinTimeMS = 946_684_800_000
	// MaxTimeMS is 2101-01-01T00:00:00Z, the end (exclusive) of usable event times, ms since the epoch.
	MaxTimeMS = 4_133_980_800_000
)

// OrderLine is one line of an order, on topic orders.
type OrderLine struct {
	Version        int    // schema version: 1, or 2 which may carry Channel
	EventID        string // identity within the partition
	OrderID        string
	Line           int64 // position in the order; 0 if absent
	Kind           Kind
	CustomerID     int64 // 0 for a guest
	Country        string
	StockCode      string // as spelled by the source
	Quantity       int64
	UnitPriceMilli int64  // thousandths of a pound
	EventTimeMS    int64  // when it happened, ms since the epoch, UTC
	EmittedUS      int64  // when the schedule meant to send it, µs since the epoch; 0 if absent
	Channel        string // web, store or phone; empty if absent (schema version 2)
}

// AmountMilli is quantity × unit price in thousandths of a pound.
func (l *OrderLine) AmountMilli() int64 { return l.Quantity * l.UnitPriceMilli }

// SameContent reports whether two lines of one id say the same. The time of
// sending, the schema version and what no rule reads do not count: a producer
// that retries may stamp them anew.
func (l *OrderLine) SameContent(o *OrderLine) bool {
	return l.EventID == o.EventID && l.Kind == o.Kind && l.CustomerID == o.CustomerID &&
		l.Country == o.Country && l.StockCode == o.StockCode && l.Quantity == o.Quantity &&
		l.UnitPriceMilli == o.UnitPriceMilli && l.EventTimeMS == o.EventTimeMS
}

// ProfileChange is one change of a customer's profile, on topic customers.
// Exactly one of Segment and Deleted is set.
type ProfileChange struct {
	Version     int
	CustomerID  int64
	Segment     string // consumer, business, wholesale or vip; empty if Deleted
	Deleted     bool   // the profile ends at ValidFromMS
	ValidFromMS int64  // ms since the epoch
	EmittedUS   int64  // µs since the epoch; 0 if absent
}

// Segments lists the segments a profile may have.
func Segments() []string { return []string{"consumer", "business", "wholesale", "vip"} }

// Unusable is the error for a record that goes to the dead-letter queue.
type Unusable struct {
	// Reason is a short sentence that names the field and what is wrong with it.
	Reason string
}

func (u *Unusable) Error() string { return "unusable record: " + u.Reason }
