package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/segmentio/kafka-go"

	"archbench/common/eventlog"
)

const (
	// maxValue is the longest value a cursor hands out; a longer one is TooLarge.
	maxValue = 64 << 10
	// maxFetch is how much one fetch brings. 1 MB keeps a replay's batches at a few ms of work.
	maxFetch = 1 << 20
	// maxWait is how long the broker holds a fetch that finds nothing.
	maxWait = 500 * time.Millisecond
)

// Open implements eventlog.Log.
func (l *Log) Open(ctx context.Context, topic string, partition int, offset int64) (eventlog.Cursor, error) {
	start, end, err := l.Bounds(ctx, topic, partition)
	if err != nil {
		return nil, err
	}
	if offset < start || offset > end {
		return nil, &eventlog.PositionError{Topic: topic, Partition: partition, Position: offset, Start: start, End: end}
	}
	return &cursor{log: l, place: place{topic, partition}, at: offset}, nil
}

type cursor struct {
	log *Log
	place
	at      int64       // the next offset to deliver
	conn    *kafka.Conn // nil: to be dialled
	records []eventlog.Record
	arena   []byte // values of the batch at hand
	// whole makes the next fetch read messages whole: it holds a value that does
	// not fit the buffer, which ends a fetch by values.
	whole bool
}

// Next implements eventlog.Cursor.
func (c *cursor) Next(ctx context.Context) ([]eventlog.Record, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		err := c.fetch(ctx)
		switch {
		case len(c.records) > 0:
			return c.records, nil // what went wrong behind them shows on the next call
		case err == nil:
			continue
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, eventlog.ErrClosed), errors.As(err, new(*eventlog.PositionError)), errors.Is(err, eventlog.ErrUnknownTopic):
			return nil, err
		}
		if err := pause(ctx, backoff); err != nil {
			return nil, err
		}
	}
}

// fetch reads one batch into c.records. A connection that failed is dropped.
func (c *cursor) fetch(ctx context.Context) error {
	c.records, c.arena = c.records[:0], c.arena[:0]
	if c.conn == nil {
		conn, err := c.log.dial(ctx, c.place)
		if err != nil {
			return c.orUnknown(ctx, err)
		}
		c.conn = conn
	}
	conn := c.conn
	stop := context.AfterFunc(ctx, func() { conn.Close() }) // ends a fetch that waits
	defer stop()
	if _, err := conn.Seek(c.at, kafka.SeekAbsolute|kafka.SeekDontCheck); err != nil {
		return c.drop(fmt.Errorf("seek: %w", err))
	}
	if err := conn.SetReadDeadline(time.Now().Add(maxWait + answerTimeout)); err != nil {
		return c.drop(fmt.Errorf("set the deadline: %w", err))
	}
	batch := conn.ReadBatchWith(kafka.ReadBatchConfig{MinBytes: 1, MaxBytes: maxFetch, MaxWait: maxWait})
	var err error
	if c.whole {
		err = c.readWhole(batch)
	} else {
		err = c.readValues(batch)
	}
	if closing := batch.Close(); err == nil {
		err = closing
	}
	switch {
	case err == nil, errors.Is(err, kafka.RequestTimedOut):
		return nil
	case errors.Is(err, io.ErrShortBuffer):
		c.whole = true
		return nil
	case errors.Is(err, kafka.OffsetOutOfRange):
		return c.outOfRange(ctx)
	}
	return c.drop(err)
}

// readValues reads the values alone, which is three times as fast as messages.
func (c *cursor) readValues(batch *kafka.Batch) error {
	for {
		if cap(c.arena)-len(c.arena) < maxValue {
			c.arena = make([]byte, 0, 2*maxFetch) // records keep the old one as long as they need it
		}
		from := len(c.arena)
		n, err := batch.Read(c.arena[from : from : from+maxValue])
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		offset := batch.Offset() - 1
		if offset < c.at {
			continue // a batch on the broker may begin before the position
		}
		c.arena = c.arena[:from+n]
		c.records = append(c.records, eventlog.Record{Offset: offset, Value: c.arena[from : from+n : from+n]})
		c.at = offset + 1
	}
}

// readWhole reads one fetch by messages, whatever their size.
func (c *cursor) readWhole(batch *kafka.Batch) error {
	c.whole = false
	for {
		m, err := batch.ReadMessage()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if m.Offset < c.at {
			continue
		}
		r := eventlog.Record{Offset: m.Offset, Key: m.Key, Value: m.Value}
		if len(m.Value) > maxValue {
			r.Value, r.TooLarge = nil, true
		}
		c.records = append(c.records, r)
		c.at = m.Offset + 1
	}
}

// outOfRange explains a position that the broker refuses.
func (c *cursor) outOfRange(ctx context.Context) error {
	start, end, err := c.log.Bounds(ctx, c.topic, c.partition)
	if err != nil {
		return err
	}
	if c.at < start || c.at > end {
		return &eventlog.PositionError{Topic: c.topic, Partition: c.partition, Position: c.at, Start: start, End: end}
	}
	return c.drop(kafka.OffsetOutOfRange) // a leader that lags behind: ask again
}

// orUnknown tells a topic that is gone from a leader that cannot be reached.
func (c *cursor) orUnknown(ctx context.Context, err error) error {
	if _, gone := c.log.Partitions(ctx, c.topic); errors.Is(gone, eventlog.ErrUnknownTopic) {
		return gone
	}
	return err
}

func (c *cursor) drop(err error) error {
	if c.conn != nil {
		c.conn.Close() // the error that counts is the one at hand
		c.conn = nil
	}
	return err
}

// Close implements eventlog.Cursor.
func (c *cursor) Close() error {
	if c.conn == nil {
		return nil
	}
	err := c.conn.Close()
	c.conn = nil
	return err
}

// Fetch implements eventlog.Log.
func (l *Log) Fetch(ctx context.Context, topic string, partition int, offset int64) (eventlog.Record, error) {
	start, end, err := l.Bounds(ctx, topic, partition)
	if err != nil {
		return eventlog.Record{}, err
	}
	if offset < start || offset >= end {
		return eventlog.Record{}, &eventlog.PositionError{Topic: topic, Partition: partition, Position: offset, Start: start, End: end}
	}
	conn, err := l.dial(ctx, place{topic, partition})
	if err != nil {
		return eventlog.Record{}, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := conn.Seek(offset, kafka.SeekAbsolute|kafka.SeekDontCheck); err != nil {
		return eventlog.Record{}, fmt.Errorf("seek: %w", err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(maxWait + answerTimeout)); err != nil {
		return eventlog.Record{}, fmt.Errorf("set the deadline: %w", err)
	}
	batch := conn.ReadBatchWith(kafka.ReadBatchConfig{MinBytes: 1, MaxBytes: maxFetch, MaxWait: maxWait})
	defer batch.Close()
	for {
		m, err := batch.ReadMessage()
		if err != nil {
			return eventlog.Record{}, fmt.Errorf("fetch %s partition %d offset %d: %w", topic, partition, offset, err)
		}
		if m.Offset < offset {
			continue
		}
		r := eventlog.Record{Offset: m.Offset, Key: m.Key, Value: m.Value}
		for _, h := range m.Headers {
			r.Headers = append(r.Headers, eventlog.Header{Key: h.Key, Value: h.Value})
		}
		return r, nil
	}
}
