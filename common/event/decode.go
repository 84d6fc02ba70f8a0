package event

import (
	"encoding/json"
	"strconv"
)

// Decoder turns record values into events. It keeps tables of repeated texts,
// so one Decoder serves one goroutine.
type Decoder struct{}

// NewDecoder returns a Decoder with empty tables.
func NewDecoder() *Decoder { return &Decoder{} }

// Order decodes one value of topic orders into l, which is overwritten whole.
// The texts in l do not alias value. A value that breaks a rule gives *Unusable.
func (d *Decoder) Order(value []byte, l *OrderLine) error {
	var w struct {
		V                                             int
		Event_id, Order_id, Kind, Country, Stock_code string
		Line, Customer_id, Quantity, Unit_price_milli int64
		Event_time_ms, Emitted_us                     int64
		Channel                                       string
	}
	if err := json.Unmarshal(value, &w); err != nil {
		return &Unusable{Reason: err.Error()}
	}
	k, ok := ParseKind(w.Kind)
	if !ok {
		return &Unusable{Reason: "kind"}
	}
	*l = OrderLine{w.V, w.Event_id, w.Order_id, w.Line, k, w.Customer_id, w.Country, w.Stock_code, w.Quantity, w.Unit_price_milli, w.Event_time_ms, w.Emitted_us, w.Channel}
	return nil
}

// Profile decodes one value of topic customers into c, which is overwritten
// whole. A value that breaks a rule gives *Unusable.
func (d *Decoder) Profile(value []byte, c *ProfileChange) error {
	var w struct {
		V                          int
		Customer_id, Valid_from_ms int64
		Segment                    string
		Deleted                    bool
		Emitted_us                 int64
	}
	if err := json.Unmarshal(value, &w); err != nil {
		return &Unusable{Reason: err.Error()}
	}
	*c = ProfileChange{w.V, w.Customer_id, w.Segment, w.Deleted, w.Valid_from_ms, w.Emitted_us}
	return nil
}

// AppendKey appends the record key of an order line: the customer in decimal, or guest:<order_id>.
func AppendKey(dst []byte, l *OrderLine) []byte {
	if l.CustomerID == 0 {
		return append(append(dst, "guest:"...), l.OrderID...)
	}
	return strconv.AppendInt(dst, l.CustomerID, 10)
}
