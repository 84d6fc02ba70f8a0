package logtest

import (
	"bytes"
	"context"
	"errors"
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

const patience = 60 * time.Second

var topics atomic.Int64

// Run runs the suite on the back end that open returns; open's test closes it.
func Run(t *testing.T, open func(t *testing.T) Backend) {
	for name, test := range map[string]func(t *testing.T, b Backend){
		"order and restart at every offset": everyOffset,
		"partitions follow the keys":        keys,
		"waiting for what comes":            waiting,
		"cancelled while waiting":           cancelled,
		"positions outside the log":         outside,
		"a head that is removed":            headRemoved,
		"a topic that is made anew":         madeAnew,
		"null, empty, long and headers":     contents,
		"unknown topics":                    unknown,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func topic(t *testing.T, b Backend, partitions int) string {
	t.Helper()
	name := fmt.Sprintf("logtest-%d-%d", time.Now().UnixNano(), topics.Add(1))
	if err := b.Create(ctx(t), partitions, name); err != nil {
		t.Fatal(err)
	}
	return name
}

func ctx(t *testing.T) context.Context {
	c, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return c
}

func fill(t *testing.T, b Backend, topic string, from, n int) {
	t.Helper()
	var records []eventlog.Record
	for i := from; i < from+n; i++ {
		records = append(records, eventlog.Record{Key: []byte("k"), Value: fmt.Appendf(nil, "value %d %s", i, strings.Repeat("x", i%50))})
	}
	if err := b.Append(ctx(t), topic, records...); err != nil {
		t.Fatal(err)
	}
}

// read reads until n records came, checking that offsets follow one another.
func read(t *testing.T, b Backend, topic string, from int64, n int) []eventlog.Record {
	t.Helper()
	c, err := b.Open(ctx(t), topic, 0, from)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var all []eventlog.Record
	for len(all) < n {
		rs, err := c.Next(ctx(t))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rs {
			if want := from + int64(len(all)); r.Offset != want {
				t.Fatalf("offset %d, want %d", r.Offset, want)
			}
			r.Value = bytes.Clone(r.Value)
			all = append(all, r)
		}
	}
	return all
}

func everyOffset(t *testing.T, b Backend) {
	name := topic(t, b, 1)
	fill(t, b, name, 0, 40)
	fill(t, b, name, 40, 1)
	fill(t, b, name, 41, 19)
	for from := range 60 {
		for i, r := range read(t, b, name, int64(from), 60-from) {
			if want := fmt.Sprintf("value %d ", from+i); !strings.HasPrefix(string(r.Value), want) {
				t.Fatalf("from %d: record %d is %q", from, i, r.Value)
			}
		}
	}
}

func keys(t *testing.T, b Backend) {
	name := topic(t, b, 3)
	for i := range 30 {
		if err := b.Append(ctx(t), name, eventlog.Record{Key: fmt.Appendf(nil, "%d", i), Value: []byte("v")}); err != nil {
			t.Fatal(err)
		}
	}
	counts := make([]int64, 3)
	for i := range 30 {
		counts[eventlog.Partition(fmt.Appendf(nil, "%d", i), 3)]++
	}
	for p, want := range counts {
		if start, end, err := b.Bounds(ctx(t), name, p); err != nil || start != 0 || end != want {
			t.Errorf("partition %d: [%d, %d) %v, want %d records", p, start, end, err, want)
		}
	}
	if n, err := b.Partitions(ctx(t), name); n != 3 || err != nil {
		t.Errorf("%d partitions, %v", n, err)
	}
}

func waiting(t *testing.T, b Backend) {
	name := topic(t, b, 1)
	c, err := b.Open(ctx(t), name, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range 20 {
		done := make(chan error, 1)
		go func() {
			rs, err := c.Next(ctx(t))
			if err == nil && (len(rs) != 1 || rs[0].Offset != int64(i)) {
				err = fmt.Errorf("got %d records from %d", len(rs), rs[0].Offset)
			}
			done <- err
		}()
		fill(t, b, name, i, 1)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

func cancelled(t *testing.T, b Backend) {
	name := topic(t, b, 1)
	c, err := b.Open(ctx(t), name, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := c.Next(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("a cancelled wait took %v", took)
	}
	fill(t, b, name, 0, 1)
	if rs, err := c.Next(ctx(t)); err != nil || len(rs) != 1 {
		t.Errorf("after a cancelled wait: %d records, %v", len(rs), err)
	}
}

func outside(t *testing.T, b Backend) {
	name := topic(t, b, 1)
	fill(t, b, name, 0, 5)
	var p *eventlog.PositionError
	if err := firstError(t, b, name, 9); !errors.As(err, &p) || p.Below() || p.End != 5 {
		t.Errorf("beyond the end: %v", err)
	}
	if err := b.Truncate(ctx(t), name, 0, 3); err != nil {
		t.Fatal(err)
	}
	if err := firstError(t, b, name, 1); !errors.As(err, &p) || !p.Below() || p.Start != 3 {
		t.Errorf("below the start: %v", err)
	}
	if rs := read(t, b, name, 3, 2); len(rs) != 2 {
		t.Errorf("%d records behind the removed head", len(rs))
	}
}

// firstError opens at an offset and reads once.
func firstError(t *testing.T, b Backend, topic string, offset int64) error {
	c, err := b.Open(ctx(t), topic, 0, offset)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Next(ctx(t))
	return err
}

// headRemoved takes the head away from under a cursor that has not read it.
func headRemoved(t *testing.T, b Backend) {
	name := topic(t, b, 1)
	fill(t, b, name, 0, 2)
	c, err := b.Open(ctx(t), name, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fill(t, b, name, 2, 8)
	if err := b.Truncate(ctx(t), name, 0, 6); err != nil {
		t.Fatal(err)
	}
	var p *eventlog.PositionError
	if _, err := c.Next(ctx(t)); !errors.As(err, &p) || !p.Below() {
		t.Errorf("a cursor whose position was removed gave %v", err)
	}
}

func madeAnew(t *testing.T, b Backend) {
	name := topic(t, b, 1)
	fill(t, b, name, 0, 9)
	if err := b.Delete(ctx(t), name); err != nil {
		t.Fatal(err)
	}
	for {
		err := b.Create(ctx(t), 1, name)
		if err == nil {
			break
		}
		if !errors.Is(err, eventlog.ErrTopicExists) {
			t.Fatal(err)
		}
	}
	fill(t, b, name, 0, 2)
	var p *eventlog.PositionError
	if err := firstError(t, b, name, 9); !errors.As(err, &p) || p.Below() {
		t.Errorf("a position of the old topic gave %v", err)
	}
	if rs := read(t, b, name, 0, 2); len(rs) != 2 {
		t.Errorf("%d records", len(rs))
	}
}

func contents(t *testing.T, b Backend) {
	name := topic(t, b, 1)
	long := bytes.Repeat([]byte("l"), 70<<10)
	sent := []eventlog.Record{
		{Key: []byte("k"), Value: []byte("plain"), Headers: []eventlog.Header{{Key: "a", Value: []byte("1")}, {Key: "b", Value: nil}}},
		{Key: []byte("k")}, {Key: []byte("k"), Value: []byte{}}, {Key: []byte("k"), Value: long}, {Key: []byte("k"), Value: long[:64<<10]}, {Key: []byte("k"), Value: []byte("last")},
	}
	if err := b.Append(ctx(t), name, sent...); err != nil {
		t.Fatal(err)
	}
	for from := range sent {
		for i, r := range read(t, b, name, int64(from), len(sent)-from) {
			want := sent[from+i]
			if tooLarge := len(want.Value) > 64<<10; r.TooLarge != tooLarge || !tooLarge && !bytes.Equal(r.Value, want.Value) {
				t.Errorf("from %d, record %d: %d bytes, too large %v; sent were %d", from, from+i, len(r.Value), r.TooLarge, len(want.Value))
			}
		}
	}
	for i, want := range sent {
		r, err := b.Fetch(ctx(t), name, 0, int64(i))
		if err != nil {
			t.Fatal(err)
		}
		if string(r.Key) != "k" || !bytes.Equal(r.Value, want.Value) || len(r.Headers) != len(want.Headers) {
			t.Errorf("fetched record %d: key %q, %d bytes, %d headers", i, r.Key, len(r.Value), len(r.Headers))
		}
	}
	if _, err := b.Fetch(ctx(t), name, 0, 6); !errors.As(err, new(*eventlog.PositionError)) {
		t.Errorf("fetch beyond the end: %v", err)
	}
}

func unknown(t *testing.T, b Backend) {
	if _, err := b.Partitions(ctx(t), "logtest-none"); !errors.Is(err, eventlog.ErrUnknownTopic) {
		t.Errorf("partitions: %v", err)
	}
	if _, _, err := b.Bounds(ctx(t), "logtest-none", 0); !errors.Is(err, eventlog.ErrUnknownTopic) {
		t.Errorf("bounds: %v", err)
	}
	if err := b.Append(ctx(t), "logtest-none", eventlog.Record{Key: []byte("k")}); !errors.Is(err, eventlog.ErrUnknownTopic) {
		t.Errorf("append: %v", err)
	}
	name := topic(t, b, 1)
	if err := b.Create(ctx(t), 1, name); !errors.Is(err, eventlog.ErrTopicExists) {
		t.Errorf("create twice: %v", err)
	}
}
