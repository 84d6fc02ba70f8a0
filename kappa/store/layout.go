package store

import (
	"encoding/binary"
	"fmt"
	"slices"

	"archbench/common/view"
)

// layout is how the rows of a partial lie in keys and values.
type layout struct {
	schema view.Schema
	code   byte
	nums   int   // integers in a row
	window int   // the one that is the window column
	keys   []int // those that are in the key beside it
	text   bool  // the text is in the key, at its end
}

func layoutOf(kind view.Partial) layout {
	l := layout{schema: kind.Schema(), code: partialCode(kind)}
	l.window = l.schema.NumIndex(l.schema.Window)
	for i, c := range l.schema.Columns {
		inKey := i < l.schema.Keys
		if c.Text {
			l.text = inKey
			continue
		}
		if inKey && l.nums != l.window {
			l.keys = append(l.keys, l.nums)
		}
		l.nums++
	}
	return l
}

// partialCode is the byte that stands for a partial in keys. It is part of the
// format: new partials go to the end.
func partialCode(kind view.Partial) byte {
	return byte(slices.Index(append(view.Partials(), view.SegmentWindows, view.CustomerSketches), kind))
}

// windowKey begins the keys of the rows whose window column has this value.
// Integers sort by value.
func (l *layout) windowKey(dst []byte, generation uint32, partition int, window int64) []byte {
	return appendInteger(append(prefix(dst, generation, partition), kindRow, l.code), window)
}

func appendInteger(dst []byte, n int64) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(n)^1<<63)
}

// key is the row's key columns: the window first, text last.
func (l *layout) key(dst []byte, generation uint32, partition int, r *view.Row) []byte {
	dst = l.windowKey(dst, generation, partition, r.Num[l.window])
	for _, i := range l.keys {
		dst = appendInteger(dst, r.Num[i])
	}
	if l.text {
		dst = append(dst, r.Text...)
	}
	return dst
}

// append writes the whole row, so that reading needs no parsing of keys.
func (l *layout) append(dst []byte, r *view.Row) []byte {
	for _, n := range r.Num[:l.nums] {
		dst = binary.AppendVarint(dst, n)
	}
	return append(dst, r.Text...)
}

// texts are those that many rows share. Rows of one state have a few thousand
// different ones, which need not be in memory once a row.
type texts map[string]string

func (t texts) of(b []byte) string {
	if s, ok := t[string(b)]; ok {
		return s
	}
	if len(t) >= 1<<16 { // ever new ones must not fill the memory
		clear(t)
	}
	s := string(b)
	t[s] = s
	return s
}

func (l *layout) read(value []byte, shared texts) (view.Row, error) {
	var r view.Row
	for i := range l.nums {
		n, size := binary.Varint(value)
		if size <= 0 {
			return r, fmt.Errorf("a row of %s in the state store is damaged", l.schema.Name)
		}
		r.Num[i] = n
		value = value[size:]
	}
	r.Text = shared.of(value)
	return r, nil
}
