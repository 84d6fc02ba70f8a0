package event

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const plainOrder = `{"v":1,"event_id":"536365-1","order_id":"536365","line":1,"kind":"sale","customer_id":17850,"country":"United Kingdom","stock_code":"85123A","quantity":6,"unit_price_milli":2550,"event_time_ms":1291191960000,"emitted_us":1795416726963123}`
const plainProfile = `{"v":1,"customer_id":17850,"segment":"wholesale","valid_from_ms":1291190400000,"emitted_us":1795416726963123}`

func TestOrderOfTheSpecification(t *testing.T) {
	var got OrderLine
	if err := NewDecoder().Order([]byte(plainOrder), &got); err != nil {
		t.Fatal(err)
	}
	want := OrderLine{Version: 1, EventID: "536365-1", OrderID: "536365", Line: 1, Kind: Sale, CustomerID: 17850, Country: "United Kingdom",
		StockCode: "85123A", Quantity: 6, UnitPriceMilli: 2550, EventTimeMS: 1291191960000, EmittedUS: 1795416726963123}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if got.AmountMilli() != 15300 {
		t.Errorf("amount %d", got.AmountMilli())
	}
}

func TestProfileOfTheSpecification(t *testing.T) {
	var got ProfileChange
	if err := NewDecoder().Profile([]byte(plainProfile), &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(ProfileChange{Version: 1, CustomerID: 17850, Segment: "wholesale", ValidFromMS: 1291190400000, EmittedUS: 1795416726963123}, got); d != "" {
		t.Error(d)
	}
}

// edit replaces one part of a plain record and fails if the part is not there.
func edit(t *testing.T, plain, from, to string) []byte {
	t.Helper()
	if !strings.Contains(plain, from) {
		t.Fatalf("%s is not in the record", from)
	}
	return []byte(strings.Replace(plain, from, to, 1))
}

func TestUsableOrders(t *testing.T) {
	for _, c := range []struct{ name, from, to string }{
		{"white space", `{"v"`, " { \"v\""},
		{"unknown field", `{"v":1`, `{"v":1,"x":{"y":[1,2]}`},
		{"unknown field twice", `{"v":1`, `{"v":1,"x":1,"x":2`},
		{"field of the other topic twice", `{"v":1`, `{"v":1,"segment":1,"segment":2`},
		{"null optional", `"line":1`, `"line":null`},
		{"no optional", `"line":1,`, ``},
		{"guest", `"customer_id":17850`, `"customer_id":0`},
		{"version 2", `"v":1`, `"v":2,"channel":"web"`},
		{"escapes", `United Kingdom`, `United\u0020Kingdom`},
		{"accents", `United Kingdom`, `Österreich`},
		{"negative cancellation", `"kind":"sale"`, `"kind":"cancellation"`},
		{"greatest amount", `"quantity":6,"unit_price_milli":2550`, `"quantity":1000000,"unit_price_milli":1000000`},
		{"first instant", `1291191960000`, `946684800000`},
		{"last instant", `1291191960000`, `4133980799999`},
		{"fields in another order", `{"v":1,"event_id":"536365-1"`, `{"event_id":"536365-1","v":1`},
		{"half a surrogate pair", `United Kingdom`, `\ud800`},
		{"minus zero", `"line":1`, `"line":-0`},
		{"channel under version 1", `"v":1`, `"v":1,"channel":"web"`},
		{"channel nobody lists", `"v":1`, `"v":2,"channel":"fax"`},
		{"spaces as other producers write them", `"line":1,"kind":"sale"`, `"line": 1, "kind": "sale"`},
		{"name with an escape", `"line"`, `"l\u0069ne"`},
		{"any depth in an unknown field", `{"v":1`, `{"v":1,"x":` + strings.Repeat("[", 500) + strings.Repeat("]", 500)},
	} {
		t.Run(c.name, func(t *testing.T) {
			var l OrderLine
			if err := NewDecoder().Order(edit(t, plainOrder, c.from, c.to), &l); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestUnusableOrders(t *testing.T) {
	for _, c := range []struct{ name, from, to, names string }{
		{"null field", `"event_id":"536365-1"`, `"event_id":null`, "event_id"},
		{"missing field", `"event_id":"536365-1",`, ``, "event_id"},
		{"empty text", `"country":"United Kingdom"`, `"country":""`, "country"},
		{"number for text", `"country":"United Kingdom"`, `"country":1`, "country"},
		{"text for number", `"quantity":6`, `"quantity":"6"`, "quantity"},
		{"fraction", `"quantity":6`, `"quantity":6.0`, "quantity"},
		{"exponent", `"quantity":6`, `"quantity":6e0`, "quantity"},
		{"leading zero", `"quantity":6`, `"quantity":06`, "JSON"},
		{"beyond 64 bits", `"emitted_us":1795416726963123`, `"emitted_us":99999999999999999999`, "emitted_us"},
		{"optional of another type", `"line":1`, `"line":"1"`, "line"},
		{"channel of another type", `"v":1`, `"v":2,"channel":3`, "channel"},
		{"unknown version", `"v":1`, `"v":3`, "v 3"},
		{"unknown kind", `"sale"`, `"Sale"`, "kind"},
		{"sale of nothing", `"quantity":6`, `"quantity":0`, "sale"},
		{"sale for nothing", `"unit_price_milli":2550`, `"unit_price_milli":0`, "sale"},
		{"negative customer", `"customer_id":17850`, `"customer_id":-1`, "customer_id"},
		{"amount", `"quantity":6,"unit_price_milli":2550`, `"quantity":1000001,"unit_price_milli":1000000`, "amount"},
		{"amount that overflows", `"quantity":6,"unit_price_milli":2550`, `"quantity":9223372036854775807,"unit_price_milli":9223372036854775807`, "amount"},
		{"before 2000", `1291191960000`, `946684799999`, "event_time_ms"},
		{"after 2100", `1291191960000`, `4133980800000`, "event_time_ms"},
		{"repeated field", `"line":1`, `"line":1,"line":1`, "line"},
		{"repeated field behind an escape", `"line":1`, `"line":1,"l\u0069ne":1`, "line"},
		{"channel of another type under version 1", `"v":1`, `"v":1,"channel":3`, "channel"},
		{"byte-order mark", `{"v"`, "\ufeff{\"v\"", "JSON"},
		{"comma at the end", `123}`, `123,}`, "JSON"},
		{"comma missing", `"line":1,`, `"line":1 `, "JSON"},
		{"repeated field with null", `"line":1`, `"line":null,"line":1`, "line"},
		{"trailing bytes", `123}`, `123} x`, "behind"},
		{"trailing object", `123}`, `123}{}`, "behind"},
		{"torn", `123}`, `123`, "JSON"},
		{"array", `{"v"`, `[{"v"`, "JSON"},
		{"invalid UTF-8", `United`, "Unit\xffed", "UTF-8"},
		{"invalid UTF-8 in an unknown field", `{"v":1`, "{\"v\":1,\"x\":\"\xc3\"", "UTF-8"},
		{"control character", `United`, "Uni\x01ted", "JSON"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var l OrderLine
			expectUnusable(t, NewDecoder().Order(edit(t, plainOrder, c.from, c.to), &l), c.names)
		})
	}
	var l OrderLine
	expectUnusable(t, NewDecoder().Order(nil, &l), "null")
	expectUnusable(t, NewDecoder().Order(edit(t, plainOrder, "United", strings.Repeat("U", MaxValueBytes)), &l), "bytes")
	longest := edit(t, plainOrder, "United", strings.Repeat("U", MaxValueBytes-len(plainOrder)+len("United")))
	if err := NewDecoder().Order(longest, &l); len(longest) != MaxValueBytes || err != nil {
		t.Errorf("%d bytes: %v", len(longest), err)
	}
}

func TestProfiles(t *testing.T) {
	for _, c := range []struct{ name, from, to, unusable string }{
		{"deleted", `"segment":"wholesale"`, `"deleted":true`, ""},
		{"deleted, segment null", `"segment":"wholesale"`, `"deleted":true,"segment":null`, ""},
		{"not deleted", `"segment":"wholesale"`, `"deleted":false,"segment":"vip"`, ""},
		{"both", `"segment":"wholesale"`, `"deleted":true,"segment":"vip"`, "both"},
		{"neither", `"segment":"wholesale",`, ``, "neither"},
		{"deleted false alone", `"segment":"wholesale"`, `"deleted":false`, "neither"},
		{"unknown segment", `wholesale`, `retail`, "segment"},
		{"deleted of another type", `"segment":"wholesale"`, `"deleted":1`, "deleted"},
		{"no customer", `"customer_id":17850,`, ``, "customer_id"},
		{"negative customer", `17850`, `-17850`, "customer_id"},
		{"nobody's", `17850`, `0`, ""},
		{"deleted null", `"segment":"wholesale"`, `"deleted":null`, "neither"},
		{"too early", `1291190400000`, `1`, "valid_from_ms"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var p ProfileChange
			err := NewDecoder().Profile(edit(t, plainProfile, c.from, c.to), &p)
			if c.unusable != "" {
				expectUnusable(t, err, c.unusable)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

func expectUnusable(t *testing.T, err error, names string) {
	t.Helper()
	var u *Unusable
	if !errors.As(err, &u) || !strings.Contains(u.Reason, names) {
		t.Errorf("got %v, want an unusable record whose reason names %q", err, names)
	}
}

func TestTextsDoNotAliasTheValue(t *testing.T) {
	value := []byte(plainOrder)
	var l OrderLine
	if err := NewDecoder().Order(value, &l); err != nil {
		t.Fatal(err)
	}
	clear(value)
	if l.EventID != "536365-1" || l.Country != "United Kingdom" || l.OrderID != "536365" {
		t.Errorf("texts changed with the value: %+v", l)
	}
}

func TestRoundTrip(t *testing.T) {
	d := NewDecoder()
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringN(1, 20, 80).Filter(func(s string) bool { return strings.ToValidUTF8(s, "") == s })
		want := OrderLine{
			Version: rapid.IntRange(1, 2).Draw(t, "v"), EventID: name.Draw(t, "event"), OrderID: name.Draw(t, "order"),
			Line: rapid.Int64().Draw(t, "line"), Kind: Kind(rapid.IntRange(1, 3).Draw(t, "kind")), CustomerID: rapid.Int64Min(0).Draw(t, "customer"),
			Country: name.Draw(t, "country"), StockCode: name.Draw(t, "code"), Quantity: rapid.Int64Range(1, 1e6).Draw(t, "quantity"),
			UnitPriceMilli: rapid.Int64Range(1, 1e6).Draw(t, "price"), EventTimeMS: rapid.Int64Range(MinTimeMS, MaxTimeMS-1).Draw(t, "time"),
			EmittedUS: rapid.Int64().Draw(t, "emitted"),
		}
		if want.Version == 2 {
			want.Channel = rapid.SampledFrom([]string{"", "web", "store", "phone"}).Draw(t, "channel")
		}
		var got OrderLine
		value := AppendOrder(nil, &want)
		if err := d.Order(value, &got); err != nil {
			t.Fatalf("%s: %v", value, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
		change := ProfileChange{Version: 1, CustomerID: want.CustomerID, Segment: "vip", ValidFromMS: want.EventTimeMS, EmittedUS: want.EmittedUS}
		if rapid.Bool().Draw(t, "deleted") {
			change.Segment, change.Deleted = "", true
		}
		var back ProfileChange
		if err := d.Profile(AppendProfile(nil, &change), &back); err != nil || change != back {
			t.Fatalf("%+v became %+v: %v", change, back, err)
		}
	})
}

// FuzzDecode checks that scanner and library agree wherever the scanner speaks,
// and that a usable event survives encoding.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(plainOrder))
	f.Add([]byte(plainProfile))
	f.Add([]byte(`{"v":2,"event_id":"\u00e9","customer_id":-0,"quantity":1e3,"deleted":false,"channel":null}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		for _, known := range []fieldSet{orderFields, profileFields} {
			var fast fields
			if len(value) == 0 || !scan(value, known, &fast) {
				continue
			}
			slow, err := parseAny(value, known)
			if err != nil {
				t.Fatalf("the scanner took %q, the library says %v", value, err)
			}
			if d := cmp.Diff(fast, slow, cmp.AllowUnexported(fields{})); d != "" {
				t.Fatalf("%q: %s", value, d)
			}
		}
		d := NewDecoder()
		var l, again OrderLine
		if d.Order(value, &l) == nil {
			if err := d.Order(AppendOrder(nil, &l), &again); err != nil || l != again {
				t.Fatalf("%+v became %+v: %v", l, again, err)
			}
		}
		var c, back ProfileChange
		if d.Profile(value, &c) == nil {
			if err := d.Profile(AppendProfile(nil, &c), &back); err != nil || c != back {
				t.Fatalf("%+v became %+v: %v", c, back, err)
			}
		}
	})
}

// BenchmarkDecodeOrder decodes and validates an order line, by the scanner for our
// own order of fields and by the library that takes over where that stops.
func BenchmarkDecodeOrder(b *testing.B) {
	value := []byte(plainOrder)
	b.Run("scanner", func(b *testing.B) {
		d, l := NewDecoder(), OrderLine{}
		b.ReportAllocs()
		for b.Loop() {
			if err := d.Order(value, &l); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		b.ReportMetric(2e6, "events/s-floor")
	})
	b.Run("library", func(b *testing.B) {
		d, l := NewDecoder(), OrderLine{}
		b.ReportAllocs()
		for b.Loop() {
			f, err := parseAny(value, orderFields)
			if err == nil {
				err = d.order(&f, &l)
			}
			if err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	})
}
