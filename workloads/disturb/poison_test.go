package disturb

import (
	"errors"
	"testing"

	"archbench/common/event"
	"archbench/workloads"
	"archbench/workloads/draws"
)

var (
	line = event.OrderLine{Version: 1, EventID: "536365-1", OrderID: "536365", Line: 1, Kind: event.Sale, CustomerID: 17850, Country: "Österreich",
		StockCode: "85123A", Quantity: 6, UnitPriceMilli: 2550, EventTimeMS: 1_291_191_960_000}
	change  = event.ProfileChange{Version: 1, CustomerID: 17850, Segment: "wholesale", ValidFromMS: 1_291_190_400_000}
	deleted = event.ProfileChange{Version: 2, CustomerID: 17850, Deleted: true, ValidFromMS: 1_291_190_400_000}
)

// What is broken in one place must be right everywhere else: the objects that
// the unusable records are made of decode to what they were made from.
func TestObjectsAreUsable(t *testing.T) {
	d := event.NewDecoder()
	var l event.OrderLine
	if err := d.Order([]byte(objectOfLine(&line).json()), &l); err != nil || l != line {
		t.Errorf("%+v, %v", l, err)
	}
	guest := line
	guest.CustomerID = 0
	if err := d.Order([]byte(objectOfLine(&guest).json()), &l); err != nil || l != guest {
		t.Errorf("%+v, %v", l, err)
	}
	for _, want := range []event.ProfileChange{change, deleted} {
		var c event.ProfileChange
		if err := d.Profile([]byte(objectOfChange(&want).json()), &c); err != nil || c != want {
			t.Errorf("%+v, %v", c, err)
		}
	}
}

func refused(t *testing.T, what, value string, err error) {
	t.Helper()
	var unusable *event.Unusable
	if !errors.As(err, &unusable) {
		t.Errorf("%s is usable: %.120s (%v)", what, value, err)
	}
}

func TestEveryKindIsUnusable(t *testing.T) {
	d, s := event.NewDecoder(), newSpoiler()
	cancelled := line
	cancelled.Kind, cancelled.Quantity = event.Cancellation, -6
	for _, k := range s.orders {
		for _, of := range []event.OrderLine{line, cancelled} {
			value := k.value(objectOfLine(&of))
			refused(t, k.what, value, d.Order([]byte(value), &event.OrderLine{}))
		}
	}
	for _, k := range s.customers {
		for _, of := range []event.ProfileChange{change, deleted} {
			value := k.value(objectOfChange(&of))
			refused(t, k.what, value, d.Profile([]byte(value), &event.ProfileChange{}))
		}
	}
	t.Logf("%d kinds on orders, %d on customers", len(s.orders), len(s.customers))
}

// Every kind comes, on both topics, under the key of the event that it resembles.
func TestEveryKindComes(t *testing.T) {
	s := newSpoiler()
	for _, e := range []workloads.Event{{Line: line}, {Topic: workloads.Customers, Change: change}} {
		kinds, seen := s.orders, map[string]bool{}
		if e.Topic == workloads.Customers {
			kinds = s.customers
		}
		for i := range uint64(5000) {
			p := s.like(&e, draws.For(1, i))
			if p.Raw == nil || !p.Poison || p.Topic != e.Topic || string(p.RawKey) != "17850" {
				t.Fatalf("%+v", p)
			}
			seen[string(p.Raw)] = true
		}
		for _, k := range kinds {
			o := objectOfLine(&line)
			if e.Topic == workloads.Customers {
				o = objectOfChange(&change)
			}
			if !seen[k.value(o)] {
				t.Errorf("%s never came", k.what)
			}
		}
	}
}
