package kappa

import (
	"errors"
	"testing"

	"archbench/common/architecture"
	"archbench/common/coverage"
	"archbench/common/eventlog"
)

// A missing head is the history gone; other changes of the log are not.
func TestHistoryIsGoneOnlyWithTheHead(t *testing.T) {
	vector := func(orders ...int64) coverage.Coverage {
		return coverage.Coverage{Orders: orders, Customers: make(coverage.Vector, len(orders))}
	}
	topics := eventlog.TopicsOf("kappa")
	for _, c := range []struct {
		name   string
		bounds eventlog.Bounds
		gone   bool
	}{
		{"the head is gone", eventlog.Bounds{Start: vector(3, 0), End: vector(9, 9)}, true},
		{"another number of partitions", eventlog.Bounds{Start: vector(0, 0, 0), End: vector(9, 9, 9)}, false},
	} {
		err := c.bounds.Verify(topics, coverage.Zero(2))
		if err == nil {
			t.Fatalf("%s: no error", c.name)
		}
		got := explain(err)
		if errors.Is(got, architecture.ErrHistoryGone) != c.gone || !errors.Is(got, err) {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
