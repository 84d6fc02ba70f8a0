package intake_test

import (
	"errors"
	"testing"

	"archbench/common/event"
	"archbench/common/eventlog"
	"archbench/common/eventlog/memlog"
	"archbench/common/intake"
)

// Watermarks are of usable lines, by partition, and never go back.
func TestWatermarks(t *testing.T) {
	log := memlog.New()
	topics := eventlog.TopicsOf("w")
	if err := log.Create(t.Context(), 1, topics.All()...); err != nil {
		t.Fatal(err)
	}
	w := intake.NewWatermarks(2)
	enough := errors.New("enough")
	read := func(from int64, lines ...event.OrderLine) {
		t.Helper()
		for i := range lines {
			if err := log.Append(t.Context(), topics.Orders, eventlog.Record{Key: []byte("1"), Value: event.AppendOrder(nil, &lines[i])}); err != nil {
				t.Fatal(err)
			}
		}
		s := intake.Source{Log: log, Topics: topics, Watermarks: w}
		err := s.FollowOrders(t.Context(), from, func(b intake.Orders) error {
			if b.Next == from+int64(len(lines)) {
				return enough
			}
			return nil
		})
		if !errors.Is(err, enough) {
			t.Fatal(err)
		}
	}
	line := func(id string, at int64) event.OrderLine {
		return event.OrderLine{Version: 1, EventID: id, OrderID: id, Kind: event.Sale, Country: "France", StockCode: "A", Quantity: 1, UnitPriceMilli: 1, EventTimeMS: at}
	}
	if all := w.MS(); len(all) != 2 || all[0] != nil || all[1] != nil {
		t.Errorf("before any line: %v", all)
	}
	unusable := line("c", 1_800_000_000_000)
	unusable.Quantity = 0
	read(0, line("a", 1_700_000_000_000), line("b", 1_600_000_000_000), unusable)
	if all := w.MS(); all[0] == nil || *all[0] != 1_700_000_000_000 || all[1] != nil {
		t.Errorf("after lines of partition 0: %v", all)
	}
	read(3, line("d", 1_650_000_000_000))
	if all := w.MS(); *all[0] != 1_700_000_000_000 {
		t.Errorf("it went back to %d", *all[0])
	}
}
