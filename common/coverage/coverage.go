package coverage

import (
	"fmt"
	"strconv"
	"strings"
)

// Vector holds, for each partition of one topic, the next offset not included.
type Vector []int64

// Coverage is the pair of prefixes that an answer was computed from.
type Coverage struct {
	Orders    Vector `json:"orders"`
	Customers Vector `json:"customers"`
}

// Zero returns the coverage of nothing over n partitions of each topic.
func Zero(n int) Coverage {
	return Coverage{Orders: make(Vector, n), Customers: make(Vector, n)}
}

// Clone returns a copy that shares no memory.
func (v Vector) Clone() Vector { return append(Vector(nil), v...) }

// AtLeast reports whether v includes all of o. Vectors of different lengths do not compare.
func (v Vector) AtLeast(o Vector) bool {
	if len(v) != len(o) {
		return false
	}
	for i := range v {
		if v[i] < o[i] {
			return false
		}
	}
	return true
}

// Equal reports whether both name the same prefixes.
func (v Vector) Equal(o Vector) bool { return v.AtLeast(o) && o.AtLeast(v) }

// Sum is the number of records included over all partitions of a log that starts at offset 0.
func (v Vector) Sum() int64 {
	var n int64
	for _, o := range v {
		n += o
	}
	return n
}

// String writes the vector as comma-separated offsets.
func (v Vector) String() string {
	var b strings.Builder
	for i, o := range v {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatInt(o, 10))
	}
	return b.String()
}

// Clone returns a copy that shares no memory.
func (c Coverage) Clone() Coverage {
	return Coverage{Orders: c.Orders.Clone(), Customers: c.Customers.Clone()}
}

// AtLeast reports whether c includes all of o, in every partition of both topics.
func (c Coverage) AtLeast(o Coverage) bool {
	return c.Orders.AtLeast(o.Orders) && c.Customers.AtLeast(o.Customers)
}

// Equal reports whether both name the same prefixes.
func (c Coverage) Equal(o Coverage) bool {
	return c.Orders.Equal(o.Orders) && c.Customers.Equal(o.Customers)
}

// Sum is the number of records included over both topics of a log that starts at offset 0.
func (c Coverage) Sum() int64 { return c.Orders.Sum() + c.Customers.Sum() }

// Missing is the number of records of o that c does not include. Being ahead in
// one partition does not make up for being behind in another.
func (c Coverage) Missing(o Coverage) int64 { return Max(c, o).Sum() - c.Sum() }

// Min returns the greatest coverage that both include. Both have the same shape.
func Min(a, b Coverage) Coverage {
	least := func(x, y int64) int64 { return min(x, y) }
	return Coverage{Orders: combine(a.Orders, b.Orders, least), Customers: combine(a.Customers, b.Customers, least)}
}

// Max returns the least coverage that includes both.
func Max(a, b Coverage) Coverage {
	greatest := func(x, y int64) int64 { return max(x, y) }
	return Coverage{Orders: combine(a.Orders, b.Orders, greatest), Customers: combine(a.Customers, b.Customers, greatest)}
}

func combine(a, b Vector, pick func(x, y int64) int64) Vector {
	out := a.Clone()
	for i := range out {
		if i < len(b) {
			out[i] = pick(out[i], b[i])
		}
	}
	return out
}

// String writes the form of the Archbench-Coverage header: orders=1,2;customers=3,4.
func (c Coverage) String() string {
	return "orders=" + c.Orders.String() + ";customers=" + c.Customers.String()
}

// Parse reads what String wrote.
func Parse(s string) (Coverage, error) {
	orders, customers, ok := strings.Cut(s, ";")
	orders, okOrders := strings.CutPrefix(orders, "orders=")
	customers, okCustomers := strings.CutPrefix(customers, "customers=")
	if !ok || !okOrders || !okCustomers {
		return Coverage{}, fmt.Errorf("coverage %q: want orders=N,…;customers=N,…", s)
	}
	var c Coverage
	var err error
	if c.Orders, err = parseVector(orders); err != nil {
		return Coverage{}, fmt.Errorf("coverage %q: orders: %w", s, err)
	}
	if c.Customers, err = parseVector(customers); err != nil {
		return Coverage{}, fmt.Errorf("coverage %q: customers: %w", s, err)
	}
	return c, nil
}

func parseVector(s string) (Vector, error) {
	if s == "" {
		return Vector{}, nil
	}
	parts := strings.Split(s, ",")
	v := make(Vector, len(parts))
	for i, p := range parts {
		n, err := strconv.ParseInt(p, 10, 64)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("%q is no offset", p)
		}
		v[i] = n
	}
	return v, nil
}

// Span is the offsets [From, To) of one partition.
type Span struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// Contiguous reports the first place where spans, taken in order, leave a gap
// or overlap, starting at from; nil if they join without either.
func Contiguous(from int64, spans []Span) error {
	at := from
	for _, s := range spans {
		switch {
		case s.To < s.From:
			return fmt.Errorf("span [%d, %d) ends before it starts", s.From, s.To)
		case s.From > at:
			return fmt.Errorf("gap: offsets [%d, %d) are in no span", at, s.From)
		case s.From < at:
			return fmt.Errorf("overlap: span [%d, %d) begins before offset %d where the previous ended", s.From, s.To, at)
		}
		at = s.To
	}
	return nil
}
