package store

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/zeebo/xxh3"

	"archbench/common/stream"
	"archbench/common/view"
)

func open(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.TempDir(), func(time.Duration) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func commit(t *testing.T, s *Store, fill func(*Batch) error) {
	t.Helper()
	b := s.NewBatch()
	if err := fill(b); err != nil {
		t.Fatal(err)
	}
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
}

// Ids come back whole and in the order of their epochs, however many were put at
// once, without those of other partitions and of epochs that were dropped.
func TestIDs(t *testing.T) {
	s := open(t)
	id := func(epoch uint64, n int) stream.ID {
		i := stream.ID{Hash: xxh3.HashString128(fmt.Sprint(epoch, n)), Content: uint64(n), Epoch: epoch}
		if epoch > 0 {
			i.Time = int64(n) + 1
		}
		return i
	}
	put := func(partition int, upTo int64, ids []stream.ID) {
		commit(t, s, func(b *Batch) error {
			w := b.IDs(1, partition, upTo)
			for _, i := range ids {
				w.Put(i)
			}
			return w.Close()
		})
	}
	made := func(epoch uint64, from, to int) (ids []stream.ID) {
		for n := from; n < to; n++ {
			ids = append(ids, id(epoch, n))
		}
		return ids
	}
	forEver := made(0, 0, 2*idsPerBlock+1)
	put(0, 7, forEver[:3])
	put(0, 20_000, forEver[3:])
	first, second := made(1, 0, 5), made(2, 0, idsPerBlock)
	put(1, 5, first[:2])
	put(1, 9, slices.Concat(first[2:], second))
	put(1, 10, made(2, idsPerBlock, idsPerBlock+1))

	read := func(partition int) (ids []stream.ID) {
		if err := s.IDs(1, partition, func(i stream.ID) { ids = append(ids, i) }); err != nil {
			t.Fatal(err)
		}
		return ids
	}
	if d := cmp.Diff(forEver, read(0)); d != "" {
		t.Errorf("ids for ever (-put +read)\n%s", d)
	}
	if d := cmp.Diff(slices.Concat(first, made(2, 0, idsPerBlock+1)), read(1)); d != "" {
		t.Errorf("ids by epoch (-put +read)\n%s", d)
	}
	commit(t, s, func(b *Batch) error { return b.DropIDs(1, 1, 2) })
	if d := cmp.Diff(made(2, 0, idsPerBlock+1), read(1)); d != "" {
		t.Errorf("after epoch 1 was dropped (-want +read)\n%s", d)
	}
}

// Every row comes back as it was put, in the order of its window.
func TestRows(t *testing.T) {
	s := open(t)
	for _, kind := range append(view.Partials(), view.SegmentWindows, view.CustomerSketches) {
		l := layoutOf(kind)
		var want []view.Row
		for window := range 10 {
			var r view.Row
			for i := range l.nums {
				r.Num[i] = int64(i+1) * -7
			}
			r.Num[l.window] = int64(window - 5)
			if slices.ContainsFunc(l.schema.Columns, func(c view.Column) bool { return c.Text }) {
				r.Text = fmt.Sprint("text ", window)
			}
			want = append(want, r)
		}
		commit(t, s, func(b *Batch) error {
			for i := range want {
				if err := b.PutRow(1, 2, kind, want[len(want)-1-i]); err != nil {
					return err
				}
			}
			return b.DeleteRow(1, 2, kind, want[3])
		})
		var got []view.Row
		if err := s.Rows(1, 2, kind, -4, func(r view.Row) { got = append(got, r) }); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(slices.Concat(want[1:3], want[4:]), got); d != "" {
			t.Errorf("%s (-put +read)\n%s", kind, d)
		}
	}
}

// No table holds entries of two kinds: else each new one would overlap all old ones.
func TestTablesEndWithTheKind(t *testing.T) {
	s := open(t)
	commit(t, s, func(b *Batch) error {
		for partition := range 2 {
			for n := range int64(50) {
				for _, kind := range view.Partials() {
					if err := b.PutRow(1, partition, kind, view.Row{Num: [view.MaxNums]int64{n, n}}); err != nil {
						return err
					}
				}
			}
			w := b.IDs(1, partition, 50)
			w.Put(stream.ID{Content: 1})
			if err := w.Close(); err != nil {
				return err
			}
		}
		return b.SetRoles(Roles{})
	})
	if err := s.db.Flush(); err != nil {
		t.Fatal(err)
	}
	levels, err := s.db.SSTables()
	if err != nil {
		t.Fatal(err)
	}
	tables := 0
	for _, level := range levels {
		for _, table := range level {
			tables++
			low, high := table.Smallest.UserKey, table.Largest.UserKey
			if n := kindSize(low); !bytes.HasPrefix(high, low[:n]) {
				t.Errorf("a table reaches from %x to %x", low, high)
			}
		}
	}
	if want := 2 * (1 + len(view.Partials())); tables < want {
		t.Errorf("%d tables, want at least %d", tables, want)
	}
}
