package disturb

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"archbench/common/event"
	"archbench/workloads"
	"archbench/workloads/draws"
)

// spoiler makes unusable records. Each breaks one rule and is right in all
// others, so that whoever forgets that rule takes it for usable.
type spoiler struct{ orders, customers []breakage }

// breakage is one way to break a rule.
type breakage struct {
	what  string
	value func(object) string
}

func newSpoiler() spoiler { return spoiler{orders: ordersBreakages(), customers: customersBreakages()} }

// like makes an unusable record that resembles an event and bears its id and
// key. It goes before that event, so that whoever lets it claim the id loses
// the usable one.
func (s *spoiler) like(e *workloads.Event, d draws.Draws) workloads.Event {
	kinds, o := s.orders, objectOfLine(&e.Line)
	if e.Topic == workloads.Customers {
		kinds, o = s.customers, objectOfChange(&e.Change)
	}
	value := kinds[d.Below(drawKind, int64(len(kinds)))].value(o)
	return workloads.Event{Topic: e.Topic, Raw: append([]byte{}, value...), RawKey: e.AppendKey(nil), Poison: true} // not nil, even if empty
}

// general are the ways that both topics have, given the fields they require.
func general(required ...string) []breakage {
	all := []breakage{
		{"a null value", func(object) string { return "" }},
		{"text that is no JSON", func(object) string { return "order line" }},
		{"half an object", func(o object) string { return o.json()[:len(o.json())/2] }},
		{"an array", func(o object) string { return "[" + o.json() + "]" }},
		{"bytes behind the object", func(o object) string { return o.json() + " {}" }},
		{"invalid UTF-8", with("note", "\"\xc3\x28\"")},
		{"more than 64 KiB", with("note", strconv.Quote(strings.Repeat("x", event.MaxValueBytes)))},
		{"v unknown", with("v", "3")},
		{"v with a fraction", with("v", "1.0")},
		{"v with an exponent", with("v", "1e0")},
		{"v beyond 64 bits", with("v", "18446744073709551617")},
		{"customer_id negative", with("customer_id", "-5")},
		{"emitted_us of another type", with("emitted_us", `"now"`)},
	}
	for _, name := range required {
		all = append(all,
			breakage{name + " missing", func(o object) string { return o.without(name).json() }},
			breakage{name + " null", with(name, "null")},
			breakage{name + " of another type", with(name, "[7]")},
			breakage{name + " twice", func(o object) string { return append(slices.Clone(o), member{name, o.get(name)}).json() }})
	}
	return all
}

// outside are times outside the years 2000 to 2100.
func outside(name string) []breakage {
	return []breakage{
		{name + " before 2000", with(name, strconv.FormatInt(event.MinTimeMS-1, 10))},
		{name + " after 2100", with(name, strconv.FormatInt(event.MaxTimeMS, 10))},
	}
}

func ordersBreakages() []breakage {
	all := general("v", "event_id", "order_id", "kind", "country", "stock_code", "quantity", "unit_price_milli", "event_time_ms")
	for _, name := range []string{"event_id", "order_id", "kind", "country", "stock_code"} {
		all = append(all, breakage{name + " empty", with(name, `""`)})
	}
	return append(append(all, outside("event_time_ms")...),
		breakage{"kind unknown", with("kind", `"refund"`)},
		breakage{"a sale of nothing", with("kind", `"sale"`, "quantity", "0", "unit_price_milli", "100")},
		breakage{"a sale for nothing", with("kind", `"sale"`, "quantity", "1", "unit_price_milli", "0")},
		breakage{"the amount too large", with("quantity", "1000001", "unit_price_milli", "1000000")},
		breakage{"the amount too small", with("kind", `"adjustment"`, "quantity", "-1000001", "unit_price_milli", "1000000")},
		breakage{"quantity as text", with("quantity", `"6"`)},
		breakage{"quantity with a fraction", with("quantity", "6.5")},
		breakage{"line of another type", with("line", `"first"`)},
		breakage{"customer_id of another type", with("customer_id", "true")},
		breakage{"channel of another type", with("v", "2", "channel", "2")},
	)
}

func customersBreakages() []breakage {
	return append(append(general("v", "customer_id", "valid_from_ms"), outside("valid_from_ms")...),
		breakage{"segment unknown", with("segment", `"gold"`, "deleted", "false")},
		breakage{"segment of another type", with("segment", "4", "deleted", "false")},
		breakage{"segment empty", with("segment", `""`, "deleted", "false")},
		breakage{"deleted of another type", with("segment", `"vip"`, "deleted", `"no"`)},
		breakage{"both segment and deleted", with("segment", `"vip"`, "deleted", "true")},
		breakage{"neither segment nor deleted", func(o object) string { return o.without("segment").without("deleted").json() }},
	)
}

// with gives fields other values: name, value, name, value and so on.
func with(pairs ...string) func(object) string {
	return func(o object) string {
		o = slices.Clone(o)
		for pair := range slices.Chunk(pairs, 2) {
			o = o.set(pair[0], pair[1])
		}
		return o.json()
	}
}

// object is a JSON object that may be broken: members in order, each value as written.
type object []member

type member struct{ name, value string }

func objectOfLine(l *event.OrderLine) object {
	return object{
		{"v", number(int64(l.Version))}, {"event_id", quoted(l.EventID)}, {"order_id", quoted(l.OrderID)}, {"line", number(l.Line)},
		{"kind", quoted(l.Kind.String())}, {"customer_id", number(l.CustomerID)}, {"country", quoted(l.Country)}, {"stock_code", quoted(l.StockCode)},
		{"quantity", number(l.Quantity)}, {"unit_price_milli", number(l.UnitPriceMilli)}, {"event_time_ms", number(l.EventTimeMS)},
	}
}

func objectOfChange(c *event.ProfileChange) object {
	o := object{{"v", number(int64(c.Version))}, {"customer_id", number(c.CustomerID)}, {"valid_from_ms", number(c.ValidFromMS)}}
	if c.Deleted {
		return o.set("deleted", "true")
	}
	return o.set("segment", quoted(c.Segment))
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

func quoted(s string) string {
	b, _ := json.Marshal(s) // a string always marshals
	return string(b)
}

func (o object) index(name string) int {
	return slices.IndexFunc(o, func(m member) bool { return m.name == name })
}

func (o object) get(name string) string { return o[o.index(name)].value }

// set replaces a member or adds it.
func (o object) set(name, value string) object {
	if i := o.index(name); i >= 0 {
		o[i].value = value
		return o
	}
	return append(o, member{name, value})
}

func (o object) without(name string) object {
	return slices.DeleteFunc(slices.Clone(o), func(m member) bool { return m.name == name })
}

func (o object) json() string {
	var b strings.Builder
	for i, m := range o {
		b.WriteByte("{,"[min(i, 1)])
		b.WriteString(`"` + m.name + `":` + m.value)
	}
	b.WriteByte('}')
	return b.String()
}
