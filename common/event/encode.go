package event

import (
	"encoding/json"
	"strconv"
)

// AppendOrder appends the JSON of l in the project's field order. Absent
// optional fields (Line, CustomerID, EmittedUS 0; Channel empty) are left out.
func AppendOrder(dst []byte, l *OrderLine) []byte {
	dst = append(dst, `{"v":`...)
	dst = strconv.AppendInt(dst, int64(l.Version), 10)
	dst = appendText(dst, `,"event_id":`, l.EventID)
	dst = appendText(dst, `,"order_id":`, l.OrderID)
	dst = appendOptional(dst, `,"line":`, l.Line)
	dst = append(append(append(dst, `,"kind":"`...), l.Kind.String()...), '"')
	dst = appendOptional(dst, `,"customer_id":`, l.CustomerID)
	dst = appendText(dst, `,"country":`, l.Country)
	dst = appendText(dst, `,"stock_code":`, l.StockCode)
	dst = strconv.AppendInt(append(dst, `,"quantity":`...), l.Quantity, 10)
	dst = strconv.AppendInt(append(dst, `,"unit_price_milli":`...), l.UnitPriceMilli, 10)
	dst = strconv.AppendInt(append(dst, `,"event_time_ms":`...), l.EventTimeMS, 10)
	dst = appendOptional(dst, `,"emitted_us":`, l.EmittedUS)
	if l.Channel != "" {
		dst = appendText(dst, `,"channel":`, l.Channel)
	}
	return append(dst, '}')
}

// AppendProfile appends the JSON of c in the project's field order.
func AppendProfile(dst []byte, c *ProfileChange) []byte {
	dst = strconv.AppendInt(append(dst, `{"v":`...), int64(c.Version), 10)
	dst = strconv.AppendInt(append(dst, `,"customer_id":`...), c.CustomerID, 10)
	if c.Deleted {
		dst = append(dst, `,"deleted":true`...)
	} else {
		dst = appendText(dst, `,"segment":`, c.Segment)
	}
	dst = strconv.AppendInt(append(dst, `,"valid_from_ms":`...), c.ValidFromMS, 10)
	dst = appendOptional(dst, `,"emitted_us":`, c.EmittedUS)
	return append(dst, '}')
}

func appendOptional(dst []byte, name string, n int64) []byte {
	if n == 0 {
		return dst
	}
	return strconv.AppendInt(append(dst, name...), n, 10)
}

// appendText writes plain ASCII itself and leaves everything else to the library.
func appendText(dst []byte, name, s string) []byte {
	dst = append(dst, name...)
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(s) // a string always marshals
			return append(dst, quoted...)
		}
	}
	return append(append(append(dst, '"'), s...), '"')
}
