package workloadtest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"archbench/common/eventlog"
	"archbench/workloads"
	"archbench/workloads/synthetic"
)

// Stream is a log of one partition that holds a long synthetic stream without
// taking memory: each record is made when it is read. One line in 50 is 20 minutes
// late, and one in 20 a second copy of a line shortly before it. Profile changes
// come as event time advances, as from a live source.
type Stream struct {
	topics eventlog.Topics
	lines  int64
	source *synthetic.Source
	read   atomic.Int64 // orders handed out
}

// The places of late lines and of copies, and of the lines that are copied, have
// nothing in common: they differ by their last digit.
const (
	lateEvery, lateAt     = 50, 11
	lateBy                = 20 * time.Minute
	repeatEvery, repeatAt = 20, 7
	repeatBack            = 999
)

// linesPerProfile is how many lines stand between two profile changes: the
// generator makes one of every 200 events a change, beginning with the first.
const linesPerProfile = 199

// batch is how many records a cursor hands out at a time.
const batch = 2048

// NewStream makes a stream of so many records of orders.
func NewStream(topics eventlog.Topics, lines int64) (*Stream, error) {
	source, err := synthetic.New(synthetic.DefaultParams())
	if err != nil {
		return nil, err
	}
	return &Stream{topics: topics, lines: lines, source: source}, nil
}

// Late is how many lines below an offset lie 20 minutes behind the one before them.
func (s *Stream) Late(offset int64) int64 { return placesBelow(offset, lateEvery, lateAt) }

// Repeated is how many lines below an offset are second copies.
func (s *Stream) Repeated(offset int64) int64 {
	return placesBelow(offset, repeatEvery, repeatAt) - placesBelow(min(offset, repeatBack), repeatEvery, repeatAt)
}

// placesBelow counts the offsets below one that leave a remainder.
func placesBelow(offset, every, remainder int64) int64 {
	return (max(offset-remainder, 0) + every - 1) / every
}

// order makes the record of orders at an offset.
func (s *Stream) order(offset int64, e *workloads.Event) {
	if offset%repeatEvery == repeatAt && offset >= repeatBack {
		offset -= repeatBack
	}
	s.source.At(offset+offset/linesPerProfile+1, e)
	if offset%lateEvery == lateAt {
		e.Line.EventTimeMS -= lateBy.Milliseconds()
	}
}

// profiles is how many profile changes there are up to a line.
func profiles(lines int64) int64 { return (lines + linesPerProfile - 1) / linesPerProfile }

// Partitions implements eventlog.Log.
func (s *Stream) Partitions(_ context.Context, topic string) (int, error) {
	if topic != s.topics.Orders && topic != s.topics.Customers {
		return 0, fmt.Errorf("topic %s: %w", topic, eventlog.ErrUnknownTopic)
	}
	return 1, nil
}

// Bounds implements eventlog.Log.
func (s *Stream) Bounds(_ context.Context, topic string, _ int) (start, end int64, err error) {
	if topic == s.topics.Customers {
		return 0, profiles(s.lines), nil
	}
	return 0, s.lines, nil
}

// Fetch implements eventlog.Log. Nothing in the stream needs it.
func (s *Stream) Fetch(context.Context, string, int, int64) (eventlog.Record, error) {
	return eventlog.Record{}, errors.New("a stream is read forward only")
}

// Append implements eventlog.Log. Alerts are of no interest and go nowhere; nothing in
// the stream is a dead letter.
func (s *Stream) Append(_ context.Context, topic string, _ ...eventlog.Record) error {
	if topic == s.topics.Alerts {
		return nil
	}
	return fmt.Errorf("a stream takes no records, and some were appended to %s", topic)
}

// Close implements eventlog.Log.
func (s *Stream) Close() error { return nil }

// Open implements eventlog.Log.
func (s *Stream) Open(_ context.Context, topic string, _ int, offset int64) (eventlog.Cursor, error) {
	return &streamCursor{s: s, customers: topic == s.topics.Customers, at: offset}, nil
}

type streamCursor struct {
	s         *Stream
	customers bool
	at        int64
	records   []eventlog.Record
	bytes     []byte
}

// Next implements eventlog.Cursor.
func (c *streamCursor) Next(ctx context.Context) ([]eventlog.Record, error) {
	end := c.s.lines
	for c.customers {
		if end = profiles(c.s.read.Load()); c.at < end {
			break
		}
		if err := sleep(ctx, time.Millisecond); err != nil {
			return nil, err
		}
	}
	if c.at >= end {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	c.fill(min(end, c.at+batch))
	if !c.customers {
		c.s.read.Store(max(c.s.read.Load(), c.at))
	}
	return c.records, ctx.Err()
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fill makes the records up to an offset.
func (c *streamCursor) fill(to int64) {
	c.records, c.bytes = c.records[:0], c.bytes[:0]
	var e workloads.Event
	for ; c.at < to; c.at++ {
		if c.customers {
			c.s.source.At(c.at*(linesPerProfile+1), &e)
		} else {
			c.s.order(c.at, &e)
		}
		begin := len(c.bytes)
		c.bytes = e.AppendValue(c.bytes, 0)
		c.records = append(c.records, eventlog.Record{Offset: c.at, Value: c.bytes[begin:len(c.bytes):len(c.bytes)]})
	}
}

// Close implements eventlog.Cursor.
func (c *streamCursor) Close() error { return nil }
