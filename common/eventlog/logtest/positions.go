package logtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"archbench/common/eventlog"
)

// refused checks that a position error came, and returns it.
func refused(t *testing.T, err error, below bool) *eventlog.PositionError {
	t.Helper()
	var p *eventlog.PositionError
	if !errors.As(err, &p) {
		t.Fatalf("got %v, want a position error", err)
	}
	if p.Below() != below {
		t.Errorf("%v: below the start %v, want %v", p, p.Below(), below)
	}
	return p
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

func fetchError(t *testing.T, b Backend, topic string, offset int64) error {
	_, err := b.Fetch(ctx(t), topic, 0, offset)
	return err
}

func outside(t *testing.T, b Backend) {
	name := Topic(t, b, 1)
	fill(t, b, name, 0, 5)
	if p := refused(t, firstError(t, b, name, 9), false); p.Position != 9 || p.End != 5 {
		t.Errorf("beyond the end: %v", p)
	}
	refused(t, fetchError(t, b, name, 5), false) // the next one, which is yet to come
	refused(t, fetchError(t, b, name, 9), false)
	if err := b.Truncate(ctx(t), name, 0, 3); err != nil {
		t.Fatal(err)
	}
	if start, end, err := b.Bounds(ctx(t), name, 0); start != 3 || end != 5 || err != nil {
		t.Errorf("[%d, %d) %v", start, end, err)
	}
	if p := refused(t, firstError(t, b, name, 2), true); p.Position != 2 || p.Start != 3 {
		t.Errorf("below the start: %v", p)
	}
	refused(t, fetchError(t, b, name, 2), true)
	read(t, b, name, 3, 2)
	if err := b.Truncate(ctx(t), name, 0, 6); err == nil {
		t.Error("records that are not there yet could be removed")
	}
}

func noPartition(t *testing.T, b Backend) {
	name := Topic(t, b, 2)
	for what, call := range map[string]func(context.Context) error{
		"Bounds":   func(ctx context.Context) error { _, _, err := b.Bounds(ctx, name, 2); return err },
		"Open":     func(ctx context.Context) error { _, err := b.Open(ctx, name, 2, 0); return err },
		"Fetch":    func(ctx context.Context) error { _, err := b.Fetch(ctx, name, 2, 0); return err },
		"Truncate": func(ctx context.Context) error { return b.Truncate(ctx, name, 2, 0) },
	} {
		if err := call(ctx(t)); err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s of a partition that is not there: %v", what, err)
		}
	}
}

// headRemoved takes the head away from under a cursor that has not read it.
func headRemoved(t *testing.T, b Backend) {
	name := Topic(t, b, 1)
	fill(t, b, name, 0, 2)
	fresh, begun := open(t, b, name, 0, 0), open(t, b, name, 0, 0)
	next(t, begun, 0)
	fill(t, b, name, 2, 8)
	if err := b.Truncate(ctx(t), name, 0, 6); err != nil {
		t.Fatal(err)
	}
	for _, c := range []eventlog.Cursor{fresh, begun} {
		rs, err := c.Next(ctx(t))
		if len(rs) > 0 {
			t.Errorf("the cursor went on at %d", rs[0].Offset)
		}
		if p := refused(t, err, true); p.Start != 6 {
			t.Errorf("%v", p)
		}
	}
}

func allRemoved(t *testing.T, b Backend) {
	name := Topic(t, b, 1)
	fill(t, b, name, 0, 5)
	if err := b.Truncate(ctx(t), name, 0, 5); err != nil {
		t.Fatal(err)
	}
	if start, end, err := b.Bounds(ctx(t), name, 0); start != 5 || end != 5 || err != nil {
		t.Errorf("[%d, %d) %v", start, end, err)
	}
	c := open(t, b, name, 0, 5)
	fill(t, b, name, 5, 1)
	if r := next(t, c, 5); !bytes.Equal(r[0].Value, value(5)) {
		t.Errorf("%q", r[0].Value)
	}
}

// anew deletes a topic and creates it again, which is also how a log's end is cut.
func anew(t *testing.T, b Backend, name string) {
	t.Helper()
	if err := b.Delete(ctx(t), name); err != nil {
		t.Fatal(err)
	}
	for {
		err := b.Create(ctx(t), 1, name)
		if err == nil {
			return
		}
		if !errors.Is(err, eventlog.ErrTopicExists) { // deletion takes effect when it does
			t.Fatal(err)
		}
	}
}

func cut(t *testing.T, b Backend) {
	name := Topic(t, b, 1)
	fill(t, b, name, 0, 9)
	anew(t, b, name)
	fill(t, b, name, 0, 2)
	if p := refused(t, firstError(t, b, name, 9), false); p.End != 2 {
		t.Errorf("a position of the old topic: %v", p)
	}
	read(t, b, name, 0, 2)
}

// madeAnew has a reader wait at the end of a topic that is then made anew and
// grows past the reader's position: it must not go on in the other topic.
func madeAnew(t *testing.T, b Backend) {
	name := Topic(t, b, 1)
	fill(t, b, name, 0, 4)
	c := open(t, b, name, 0, 0)
	next(t, c, 0)
	if err := b.Truncate(ctx(t), name, 0, 4); err != nil { // whatever Next returned at first, nothing is left
		t.Fatal(err)
	}
	done := inNext(t, c, ctx(t))
	for range 10 { // round trips, so that the reader's request is on its way: a log by name cannot tell topics apart behind its back
		if _, _, err := b.Bounds(ctx(t), name, 0); err != nil {
			t.Fatal(err)
		}
	}
	anew(t, b, name)
	fill(t, b, name, 0, 20)
	a := <-done
	if a.n > 0 {
		t.Fatalf("the cursor went on at %d", a.first)
	}
	var p *eventlog.PositionError
	if !errors.As(a.err, &p) && !errors.Is(a.err, eventlog.ErrUnknownTopic) { // it may have looked in between
		t.Errorf("got %v", a.err)
	}
}

func deleted(t *testing.T, b Backend) {
	name := Topic(t, b, 1)
	fill(t, b, name, 0, 1)
	c := open(t, b, name, 0, 0)
	next(t, c, 0)
	done := inNext(t, c, ctx(t))
	if err := b.Delete(ctx(t), name); err != nil {
		t.Fatal(err)
	}
	ends(t, done, eventlog.ErrUnknownTopic)
	if err := b.Append(ctx(t), name, Records(0, 1)...); !errors.Is(err, eventlog.ErrUnknownTopic) {
		t.Errorf("append to a deleted topic: %v", err)
	}
}

func contents(t *testing.T, b Backend) {
	name := Topic(t, b, 1)
	long := bytes.Repeat([]byte("l"), 70<<10)
	sent := []eventlog.Record{
		{Key: []byte("k"), Value: []byte("plain"), Headers: []eventlog.Header{{Key: "a", Value: []byte("1")}, {Key: "b"}, {Key: "a", Value: []byte("again")}}},
		{Key: []byte("k")}, {Key: []byte("k"), Value: []byte{}}, {Key: []byte("k"), Value: long}, {Key: []byte("k"), Value: long[:64<<10]}, {Key: []byte("k"), Value: []byte("last")},
	}
	if err := b.Append(ctx(t), name, sent...); err != nil {
		t.Fatal(err)
	}
	for from := range sent {
		for i, r := range read(t, b, name, int64(from), len(sent)-from) {
			want := sent[from+i]
			if tooLarge := len(want.Value) > 64<<10; r.TooLarge != tooLarge || tooLarge && len(r.Value) > 0 || !tooLarge && !bytes.Equal(r.Value, want.Value) {
				t.Errorf("from %d, record %d: %d bytes, too large %v; sent were %d", from, from+i, len(r.Value), r.TooLarge, len(want.Value))
			}
		}
	}
	sameHeader := func(a, b eventlog.Header) bool { return a.Key == b.Key && bytes.Equal(a.Value, b.Value) }
	for i, want := range sent {
		r, err := b.Fetch(ctx(t), name, 0, int64(i))
		if err != nil {
			t.Fatal(err)
		}
		if string(r.Key) != "k" || !bytes.Equal(r.Value, want.Value) || r.TooLarge || !slices.EqualFunc(r.Headers, want.Headers, sameHeader) {
			t.Errorf("fetched record %d: key %q, %d bytes, headers %v", i, r.Key, len(r.Value), r.Headers)
		}
	}
}

// addedPartitions leaves what was written where it is, and sends what follows to
// the partition of its key among all.
func addedPartitions(t *testing.T, b Backend) {
	name := Topic(t, b, 1)
	fill(t, b, name, 0, 10)
	if err := b.AddPartitions(ctx(t), name, 3); err != nil {
		t.Fatal(err)
	}
	if n, err := b.Partitions(ctx(t), name); n != 3 || err != nil {
		t.Fatalf("%d partitions, %v; want 3", n, err)
	}
	EveryOffset(t, b, name, 10)
	want := []int64{10, 0, 0}
	for i := range 30 {
		key := fmt.Appendf(nil, "%d", i)
		if err := b.Append(ctx(t), name, eventlog.Record{Key: key, Value: []byte("v")}); err != nil {
			t.Fatal(err)
		}
		want[eventlog.Partition(key, 3)]++
	}
	for p, n := range want {
		if _, end, err := b.Bounds(ctx(t), name, p); err != nil || end != n {
			t.Errorf("partition %d ends at %d, %v; want %d", p, end, err, n)
		}
	}
	if err := b.AddPartitions(ctx(t), name, 2); err == nil {
		t.Error("3 partitions became 2")
	}
}

func unknown(t *testing.T, b Backend) {
	const none = "logtest-none"
	for what, call := range map[string]func() error{
		"Partitions": func() error { _, err := b.Partitions(ctx(t), none); return err },
		"Bounds":     func() error { _, _, err := b.Bounds(ctx(t), none, 0); return err },
		"Open":       func() error { _, err := b.Open(ctx(t), none, 0, 0); return err },
		"Fetch":      func() error { _, err := b.Fetch(ctx(t), none, 0, 0); return err },
		"Append":     func() error { return b.Append(ctx(t), none, Records(0, 1)...) },
		"Delete":     func() error { return b.Delete(ctx(t), none) },

		"AddPartitions": func() error { return b.AddPartitions(ctx(t), none, 2) },
	} {
		if err := call(); !errors.Is(err, eventlog.ErrUnknownTopic) {
			t.Errorf("%s of an unknown topic: %v", what, err)
		}
	}
	name := Topic(t, b, 1)
	if err := b.Create(ctx(t), 1, name); !errors.Is(err, eventlog.ErrTopicExists) {
		t.Errorf("create twice: %v", err)
	}
}
