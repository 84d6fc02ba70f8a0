package ledger

import (
	"context"
	"fmt"

	"archbench/bench/load"
	"archbench/common/coverage"
	"archbench/common/eventlog"
)

// Entry is one record of the log.
type Entry struct {
	Index      int64 // of the event in its source
	IntendedUS int64 // when it was meant to be sent, µs since the epoch
}

// Ledger holds an entry for every offset, by topic and partition.
type Ledger struct {
	Orders, Customers [][]Entry
	// Repeated is how many records are second copies: the answer to a write was
	// lost and the write repeated.
	Repeated int64
}

// Sink takes every record's value, such as the oracle's history.
type Sink interface {
	AddOrder(partition int, offset int64, value []byte)
	AddCustomer(partition int, offset int64, value []byte)
}

// Read reads both topics whole and finds the event of each record among those sent.
func Read(ctx context.Context, log eventlog.Log, t eventlog.Topics, sent *load.Sent, sink Sink) (*Ledger, error) {
	l := &Ledger{}
	for p := range sent.Orders {
		m := &matcher{sent: sent.Orders[p]}
		if err := m.read(ctx, log, t.Orders, p, func(o int64, v []byte) { sink.AddOrder(p, o, v) }); err != nil {
			return nil, err
		}
		l.Orders, l.Repeated = append(l.Orders, m.entries), l.Repeated+m.repeated
	}
	for p := range sent.Customers {
		m := &matcher{sent: sent.Customers[p]}
		if err := m.read(ctx, log, t.Customers, p, func(o int64, v []byte) { sink.AddCustomer(p, o, v) }); err != nil {
			return nil, err
		}
		l.Customers, l.Repeated = append(l.Customers, m.entries), l.Repeated+m.repeated
	}
	return l, nil
}

// matcher goes through one partition and through what was sent to it, side by side.
type matcher struct {
	sent     []load.Record
	next     int // of sent
	entries  []Entry
	repeated int64
}

func (m *matcher) read(ctx context.Context, log eventlog.Log, topic string, p int, each func(int64, []byte)) error {
	start, end, err := log.Bounds(ctx, topic, p)
	if err != nil {
		return err
	}
	if start > 0 {
		return fmt.Errorf("%s partition %d begins at offset %d: the truth needs it whole", topic, p, start)
	}
	if end > 0 {
		c, err := log.Open(ctx, topic, p, 0)
		if err != nil {
			return fmt.Errorf("read %s partition %d: %w", topic, p, err)
		}
		defer c.Close()
		if err := m.follow(ctx, log, c, topic, p, end, each); err != nil {
			return fmt.Errorf("read %s partition %d: %w", topic, p, err)
		}
	}
	if m.next < len(m.sent) {
		return fmt.Errorf("%s partition %d: %d of %d records sent are not in the log", topic, p, len(m.sent)-m.next, len(m.sent))
	}
	return nil
}

func (m *matcher) follow(ctx context.Context, log eventlog.Log, c eventlog.Cursor, topic string, p int, end int64, each func(int64, []byte)) error {
	m.entries = make([]Entry, 0, end)
	for at := int64(0); at < end; {
		records, err := c.Next(ctx)
		if err != nil {
			return err
		}
		for _, r := range records {
			if r.Offset >= end {
				return nil
			}
			if r.TooLarge {
				if r, err = log.Fetch(ctx, topic, p, r.Offset); err != nil {
					return err
				}
			}
			if err := m.match(r); err != nil {
				return err
			}
			each(r.Offset, r.Value)
			at = r.Offset + 1
		}
	}
	return nil
}

// match finds the sent record. Where it is not the next one, a write was
// repeated, from some record before on.
func (m *matcher) match(r eventlog.Record) error {
	if int64(len(m.entries)) != r.Offset {
		return fmt.Errorf("offset %d follows %d", r.Offset, len(m.entries)-1)
	}
	hash := load.Hash(r.Value)
	if m.next >= len(m.sent) || m.sent[m.next].Hash != hash {
		at := m.next - 1
		for at >= 0 && m.sent[at].Hash != hash {
			at--
		}
		if at < 0 {
			return fmt.Errorf("offset %d holds a record that was not sent there", r.Offset)
		}
		m.repeated += int64(m.next - at)
		m.next = at
	}
	s := m.sent[m.next]
	m.entries = append(m.entries, Entry{s.Index, s.IntendedUS})
	m.next++
	return nil
}

// End is the coverage of everything in the log.
func (l *Ledger) End() coverage.Coverage {
	c := coverage.Zero(len(l.Orders))
	for p := range l.Orders {
		c.Orders[p], c.Customers[p] = int64(len(l.Orders[p])), int64(len(l.Customers[p]))
	}
	return c
}

// Window bounds the intended times that count, µs since the epoch: [From, To).
type Window struct{ FromUS, ToUS int64 }

// Seconds is how long the window is.
func (w Window) Seconds() float64 { return float64(w.ToUS-w.FromUS) / 1e6 }

// Holds reports whether an intended time lies in the window.
func (w Window) Holds(us int64) bool { return us >= w.FromUS && us < w.ToUS }
