package logtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"archbench/common/eventlog"
)

func everyOffset(t *testing.T, b Backend) {
	name := Topic(t, b, 1)
	fill(t, b, name, 0, 40)
	fill(t, b, name, 40, 1)
	fill(t, b, name, 41, 19)
	EveryOffset(t, b, name, 60)
}

func keys(t *testing.T, b Backend) {
	name := Topic(t, b, 3)
	counts := make([]int64, 3)
	for i := range 30 {
		key := fmt.Appendf(nil, "%d", i)
		if err := b.Append(ctx(t), name, eventlog.Record{Key: key, Value: []byte("v")}); err != nil {
			t.Fatal(err)
		}
		counts[eventlog.Partition(key, 3)]++
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

// muchAtOnce appends several times what one write to a broker may hold.
func muchAtOnce(t *testing.T, b Backend) {
	const n = 300
	name := Topic(t, b, 1)
	var records []eventlog.Record
	for i := range n {
		records = append(records, eventlog.Record{Key: []byte("k"), Value: append(value(i), bytes.Repeat([]byte{byte(i)}, 10<<10)...)})
	}
	if err := b.Append(ctx(t), name, records...); err != nil {
		t.Fatal(err)
	}
	for i, r := range read(t, b, name, 0, n) {
		if !bytes.Equal(r.Value, records[i].Value) {
			t.Fatalf("record %d has %d bytes, %q…", i, len(r.Value), r.Value[:min(20, len(r.Value))])
		}
	}
}

func nothing(t *testing.T, b Backend) {
	name := Topic(t, b, 2)
	if err := b.Append(ctx(t), name); err != nil {
		t.Error(err)
	}
	if _, end, err := b.Bounds(ctx(t), name, 0); err != nil || end != 0 {
		t.Errorf("end %d, %v", end, err)
	}
}

// waiting alternates between a reader that waits and a record that comes.
func waiting(t *testing.T, b Backend) {
	name := Topic(t, b, 1)
	c := open(t, b, name, 0, 0)
	for i := range 20 {
		done := inNext(t, c, ctx(t))
		fill(t, b, name, i, 1)
		got := <-done
		if got.err != nil || got.n != 1 || got.first != int64(i) {
			t.Fatalf("round %d: %+v", i, got)
		}
	}
}

// arrival is what one call of Next brought.
type arrival struct {
	n     int
	first int64
	err   error
}

// inNext calls Next beside the test.
func inNext(t *testing.T, c eventlog.Cursor, ctx context.Context) <-chan arrival {
	t.Helper()
	done := make(chan arrival, 1)
	go func() {
		rs, err := c.Next(ctx)
		a := arrival{n: len(rs), err: err}
		if len(rs) > 0 {
			a.first = rs[0].Offset
		}
		done <- a
	}()
	return done
}

// ends waits for a call of Next that must end without records.
func ends(t *testing.T, done <-chan arrival, with error) {
	t.Helper()
	select {
	case a := <-done:
		if a.n > 0 || !errors.Is(a.err, with) {
			t.Errorf("%d records, %v; want %v", a.n, a.err, with)
		}
	case <-time.After(patience):
		t.Fatal("Next still waits")
	}
}

func cancelled(t *testing.T, b Backend) {
	name := Topic(t, b, 1)
	c := open(t, b, name, 0, 0)
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	ends(t, inNext(t, c, short), context.DeadlineExceeded)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("a cancelled wait took %v", took)
	}
	fill(t, b, name, 0, 1)
	next(t, c, 0) // the cursor goes on
	over, cancel := context.WithCancel(t.Context())
	cancel()
	fill(t, b, name, 1, 1)
	if _, err := c.Next(over); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that is over: %v", err)
	}
	next(t, c, 1) // and lost nothing
}

func closedWhileWaiting(t *testing.T, b Backend) {
	name := Topic(t, b, 1)
	fill(t, b, name, 0, 1)
	c := open(t, b, name, 0, 0)
	next(t, c, 0)
	done := inNext(t, c, ctx(t))
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	ends(t, done, eventlog.ErrClosed)
	fill(t, b, name, 1, 1)
	ends(t, inNext(t, c, ctx(t)), eventlog.ErrClosed)
}

func logClosed(t *testing.T, b Backend) {
	name := Topic(t, b, 1)
	fill(t, b, name, 0, 1)
	c := open(t, b, name, 0, 0)
	next(t, c, 0)
	done := inNext(t, c, ctx(t))
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	ends(t, done, eventlog.ErrClosed)
	for what, call := range map[string]func() error{
		"Next":       func() error { _, err := c.Next(ctx(t)); return err },
		"Partitions": func() error { _, err := b.Partitions(ctx(t), name); return err },
		"Bounds":     func() error { _, _, err := b.Bounds(ctx(t), name, 0); return err },
		"Open":       func() error { _, err := b.Open(ctx(t), name, 0, 0); return err },
		"Fetch":      func() error { _, err := b.Fetch(ctx(t), name, 0, 0); return err },
		"Append":     func() error { return b.Append(ctx(t), name, Records(0, 1)...) },
		"Create":     func() error { return b.Create(ctx(t), 1, name+"-more") },
		"Truncate":   func() error { return b.Truncate(ctx(t), name, 0, 1) },
		"Delete":     func() error { return b.Delete(ctx(t), name) },
	} {
		if err := call(); !errors.Is(err, eventlog.ErrClosed) {
			t.Errorf("%s on a closed log: %v", what, err)
		}
	}
	if err := b.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
}

// atOnce has two readers on each partition follow three writers.
func atOnce(t *testing.T, b Backend) {
	const partitions, writers, each = 3, 3, 200
	name := Topic(t, b, partitions)
	counts := make([]int, partitions)
	var batches [writers][][]eventlog.Record
	for w := range writers {
		for i := 0; i < each; i += 10 {
			var batch []eventlog.Record
			for k := i; k < i+10; k++ {
				key := fmt.Appendf(nil, "%d-%d", w, k)
				batch = append(batch, eventlog.Record{Key: key, Value: key})
				counts[eventlog.Partition(key, partitions)]++
			}
			batches[w] = append(batches[w], batch)
		}
	}
	g, all := errgroup.WithContext(ctx(t))
	for w := range writers {
		g.Go(func() error {
			for _, batch := range batches[w] {
				if err := b.Append(all, name, batch...); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for reader := range 2 * partitions {
		p := reader % partitions
		c := open(t, b, name, p, 0)
		g.Go(func() error { return complete(all, c, p, partitions, counts[p]) })
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}

// complete reads a partition and checks that it holds n records of its own, each once.
func complete(ctx context.Context, c eventlog.Cursor, p, partitions, n int) error {
	seen := map[string]bool{}
	for at := int64(0); at < int64(n); {
		rs, err := c.Next(ctx)
		if err != nil {
			return fmt.Errorf("partition %d after %d of %d: %w", p, at, n, err)
		}
		for _, r := range rs {
			key := string(r.Value)
			if r.Offset != at || seen[key] || eventlog.Partition(r.Value, partitions) != p {
				return fmt.Errorf("partition %d offset %d (want %d): %q, seen before %v", p, r.Offset, at, key, seen[key])
			}
			seen[key] = true
			at++
		}
	}
	return nil
}
