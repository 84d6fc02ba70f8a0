package logtest

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"archbench/common/eventlog"
)

// Backend is a log with its administration.
type Backend interface {
	eventlog.Log
	eventlog.Admin
}

// patience is how long anything may take: far longer than it does, far shorter than a test run.
const patience = 60 * time.Second

var topics atomic.Int64

// Run runs the suite. Each call of open gives a log of its own, which open's test closes.
func Run(t *testing.T, open func(t *testing.T) Backend) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, b Backend)
	}{
		{"order and restart at every offset", everyOffset},
		{"partitions follow the keys", keys},
		{"more than one write holds", muchAtOnce},
		{"nothing to append", nothing},
		{"waiting for what comes", waiting},
		{"cancelled while waiting", cancelled},
		{"closed while waiting", closedWhileWaiting},
		{"log closed while waiting", logClosed},
		{"many cursors and writers at once", atOnce},
		{"positions outside the log", outside},
		{"partitions that are not there", noPartition},
		{"partitions that are added", addedPartitions},
		{"a head that is removed", headRemoved},
		{"everything removed", allRemoved},
		{"a topic that is cut", cut},
		{"a topic that is made anew under a cursor", madeAnew},
		{"a topic that is deleted under a cursor", deleted},
		{"null, empty, long and headers", contents},
		{"unknown topics", unknown},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

// Topic creates a topic of its own for a test and returns its name.
func Topic(t testing.TB, b eventlog.Admin, partitions int) string {
	t.Helper()
	name := fmt.Sprintf("logtest-%d-%d", time.Now().UnixNano(), topics.Add(1))
	if err := b.Create(ctx(t), partitions, name); err != nil {
		t.Fatal(err)
	}
	return name
}

func ctx(t testing.TB) context.Context {
	c, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return c
}

// Records returns records with the given numbers, all of one key.
func Records(from, n int) []eventlog.Record {
	var records []eventlog.Record
	for i := from; i < from+n; i++ {
		records = append(records, eventlog.Record{Key: []byte("k"), Value: value(i)})
	}
	return records
}

func value(i int) []byte { return fmt.Appendf(nil, "value %d %s", i, strings.Repeat("x", i%50)) }

func fill(t testing.TB, b Backend, topic string, from, n int) {
	t.Helper()
	if err := b.Append(ctx(t), topic, Records(from, n)...); err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, b Backend, topic string, partition int, from int64) eventlog.Cursor {
	t.Helper()
	c, err := b.Open(ctx(t), topic, partition, from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// next returns what the cursor has, copied, having checked that the offsets
// follow one another from a given one.
func next(t testing.TB, c eventlog.Cursor, from int64) []eventlog.Record {
	t.Helper()
	rs, err := c.Next(ctx(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(rs) == 0 {
		t.Fatal("Next returned nothing, without an error")
	}
	var all []eventlog.Record
	for i, r := range rs {
		if want := from + int64(i); r.Offset != want {
			t.Fatalf("offset %d, want %d", r.Offset, want)
		}
		r.Value = bytes.Clone(r.Value)
		all = append(all, r)
	}
	return all
}

// read opens a cursor and reads until n records came.
func read(t testing.TB, b Backend, topic string, from int64, n int) []eventlog.Record {
	t.Helper()
	c := open(t, b, topic, 0, from)
	var all []eventlog.Record
	for len(all) < n {
		all = append(all, next(t, c, from+int64(len(all)))...)
	}
	if len(all) > n {
		t.Fatalf("%d records from offset %d, want %d", len(all), from, n)
	}
	return all
}

// EveryOffset checks that partition 0 of a topic holds exactly Records(0, n),
// whatever offset reading starts from, and that each can be fetched by itself.
func EveryOffset(t *testing.T, b Backend, topic string, n int) {
	t.Helper()
	for from := range n {
		for i, r := range read(t, b, topic, int64(from), n-from) {
			if !bytes.Equal(r.Value, value(from+i)) {
				t.Fatalf("from %d: record %d is %q, want %q", from, from+i, r.Value, value(from+i))
			}
		}
		r, err := b.Fetch(ctx(t), topic, 0, int64(from))
		if err != nil || r.Offset != int64(from) || !bytes.Equal(r.Value, value(from)) || string(r.Key) != "k" {
			t.Fatalf("fetched %d: offset %d, key %q, value %q, %v", from, r.Offset, r.Key, r.Value, err)
		}
	}
}
