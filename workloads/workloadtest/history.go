package workloadtest

import (
	"errors"
	"io"
	"testing"

	"archbench/common/eventlog"
	"archbench/common/oracle"
	"archbench/workloads"
)

// Record is one encoded event, with the place that a log would give it.
type Record struct {
	Topic      workloads.Topic
	Partition  int
	Offset     int64
	Key, Value []byte
}

// Each encodes every event of a source that keep accepts (nil: all), placed in
// so many partitions.
func Each(t testing.TB, s workloads.Source, partitions int, keep func(*workloads.Event) bool, f func(Record)) {
	t.Helper()
	next := map[workloads.Topic][]int64{workloads.Orders: make([]int64, partitions), workloads.Customers: make([]int64, partitions)}
	var e workloads.Event
	for {
		if err := s.Next(&e); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		if keep != nil && !keep(&e) {
			continue
		}
		r := Record{Topic: e.Topic, Key: e.AppendKey(nil), Value: e.AppendValue(nil, 0)}
		r.Partition = eventlog.Partition(r.Key, partitions)
		r.Offset = next[e.Topic][r.Partition]
		next[e.Topic][r.Partition]++
		f(r)
	}
}

// History is the oracle's history of a source.
func History(t testing.TB, s workloads.Source, partitions int, keep func(*workloads.Event) bool) *oracle.History {
	t.Helper()
	h := oracle.NewHistory(partitions)
	Each(t, s, partitions, keep, func(r Record) {
		if r.Topic == workloads.Orders {
			h.AddOrder(r.Partition, r.Offset, r.Value)
		} else {
			h.AddCustomer(r.Partition, r.Offset, r.Value)
		}
	})
	return h
}
