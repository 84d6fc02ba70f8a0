package alerts_test

import (
	"errors"
	"fmt"
	"iter"
	"testing"

	"archbench/common/alerts"
	"archbench/common/eventlog"
)

// write puts alerts of so many customers into the topic, each as an outbox would.
func write(t *testing.T, l eventlog.Log, customers ...int64) {
	t.Helper()
	for _, c := range customers {
		value := fmt.Appendf(nil, `{"v":1,"rules":1,"window_start":60000,"customer_id":%d,"gross_milli":1000000,"orders_partition":1,"orders_offset":5,"detected_us":9}`, c)
		if c < 0 {
			value = []byte("no alert")
		}
		if err := l.Append(t.Context(), "alerts", eventlog.Record{Key: []byte("1"), Value: value}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReadGoesOnWhereItEnded(t *testing.T) {
	l := newLog(t)
	var next int64
	for n, customers := range [][]int64{{}, {1, -1, 2}, {}, {3}} {
		write(t, l, customers...)
		from := next
		var got []alerts.Written
		var err error
		if got, next, err = alerts.Read(t.Context(), l, "alerts", 0, from); err != nil {
			t.Fatal(err)
		}
		if len(got) != len(customers) || next != from+int64(len(customers)) {
			t.Fatalf("reading %d from %d on gave %d records and the next offset %d, want %d records", n, from, len(got), next, len(customers))
		}
		for i, w := range got {
			switch c := customers[i]; {
			case w.Offset != from+int64(i):
				t.Errorf("record %d of reading %d has offset %d", i, n, w.Offset)
			case c < 0 && w.Unreadable == nil, c > 0 && (w.Unreadable != nil || w.Alert != alert(c)):
				t.Errorf("customer %d was read as %+v", c, w)
			}
		}
	}
	if _, _, err := alerts.Read(t.Context(), l, "none", 0, 0); !errors.Is(err, eventlog.ErrUnknownTopic) {
		t.Errorf("reading a topic that is not there gave %v", err)
	}
}

func TestFollowHandsOnWhatComesUntilItIsToldToEnd(t *testing.T) {
	l := newLog(t)
	write(t, l, 1, 2)
	var got []int64
	err := alerts.Follow(t.Context(), l, "alerts", 0, 1, func(some iter.Seq[alerts.Written]) bool {
		for w := range some {
			got = append(got, w.CustomerID)
		}
		if len(got) == 1 {
			write(t, l, 3) // after all was read
			return true
		}
		return false
	})
	if err != nil || fmt.Sprint(got) != "[2 3]" {
		t.Errorf("followed customers %v and ended with %v", got, err)
	}
}
