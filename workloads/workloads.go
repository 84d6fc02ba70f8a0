package workloads

import (
	"strconv"

	"archbench/common/event"
)

// Topic says to which input topic an event belongs.
type Topic uint8

// The input topics.
const (
	Orders Topic = iota
	Customers
)

// Event is one event of a source, before it is stamped and sent.
type Event struct {
	Index  int64 // position in the source, from 0
	Topic  Topic
	Line   event.OrderLine     // on Orders, unless Raw is set
	Change event.ProfileChange // on Customers, unless Raw is set
	// Raw is a value that is sent as it is, under RawKey: an unusable record.
	// Empty, but not nil, it is sent as a null value.
	Raw, RawKey []byte

	Late, Duplicate, Poison bool // what a disturbance made of it
}

// AppendKey appends the record key.
func (e *Event) AppendKey(dst []byte) []byte {
	switch {
	case e.Raw != nil:
		return append(dst, e.RawKey...)
	case e.Topic == Customers:
		return strconv.AppendInt(dst, e.Change.CustomerID, 10)
	}
	return event.AppendKey(dst, &e.Line)
}

// AppendValue appends the record value, stamped with the intended time of
// sending in µs since the epoch.
func (e *Event) AppendValue(dst []byte, emittedUS int64) []byte {
	switch {
	case e.Raw != nil:
		return append(dst, e.Raw...)
	case e.Topic == Customers:
		c := e.Change
		c.EmittedUS = emittedUS
		return event.AppendProfile(dst, &c)
	}
	l := e.Line
	l.EmittedUS = emittedUS
	return event.AppendOrder(dst, &l)
}

// Source yields the events of a measurement in the order of sending.
type Source interface {
	// Next overwrites e with the next event; io.EOF at the end.
	Next(e *Event) error
	// Lines is how many order lines the source has in all, -1 if it does not end.
	Lines() int64
	// Events is how many events of both topics it has, -1 if it does not end.
	Events() int64
	Describe() Description
	Close() error
}

// Description says what a source is, for the result.
type Description struct {
	ID         string            // synthetic, online-retail or csv
	Source     string            // generator version or path
	SHA256     string            // of the content, for files
	Parameters map[string]string // what the events depend on
	Note       string            // a sentence for the reader, if something is unusual
}
