package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kadm"

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
	at := place{topic, partition}
	_, id, err := l.leader(ctx, at)
	if err != nil {
		return nil, err
	}
	start, end, err := l.Bounds(ctx, topic, partition)
	if err != nil {
		return nil, err
	}
	if offset < start || offset > end {
		return nil, &eventlog.PositionError{Topic: topic, Partition: partition, Position: offset, Start: start, End: end}
	}
	c := &cursor{log: l, place: at, id: id, at: offset}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.life.Err() != nil {
		return nil, eventlog.ErrClosed
	}
	l.cursors[c] = struct{}{}
	return c, nil
}

type cursor struct {
	log *Log
	place
	id      kadm.TopicID
	at      int64 // the next offset to deliver
	records []eventlog.Record
	arena   []byte // values of the batch at hand
	// whole makes the next fetch read messages whole: it holds a value that does
	// not fit the buffer, which ends a fetch by values.
	whole bool
	gone  lasting // the cluster says that the topic does not exist
	stuck lasting // the broker answers, but not so that anything can be read

	mu     sync.Mutex  // guards what Close shares with Next
	conn   *kafka.Conn // nil: to be dialled
	closed bool
}

// Next implements eventlog.Cursor.
func (c *cursor) Next(ctx context.Context) ([]eventlog.Record, error) {
	for {
		if err := c.over(ctx); err != nil {
			return nil, err
		}
		err := c.fetch(ctx)
		switch over := c.over(ctx); {
		case len(c.records) > 0:
			return c.records, nil // what went wrong behind them shows on the next call
		case err == nil:
			c.gone, c.stuck = lasting{}, lasting{}
			continue
		case over != nil:
			return nil, over
		case errors.Is(err, eventlog.ErrUnknownTopic) && c.gone.shorterThan(believeGone):
		case final(err), errors.As(err, new(*readError)) && !c.stuck.shorterThan(giveUp):
			return nil, err
		}
		_ = pause(ctx, backoff) // an end that comes meanwhile shows above
	}
}

// over says why the cursor has ended, if it has.
func (c *cursor) over(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return eventlog.ErrClosed
	}
	return ctx.Err()
}

// readError is a failure on a connection that could be made.
type readError struct {
	place
	at  int64
	err error
}

func (e *readError) Error() string {
	return fmt.Sprintf("read %s partition %d from offset %d: %v", e.topic, e.partition, e.at, e.err)
}

func (e *readError) Unwrap() error { return e.err }

// fetch reads one batch into c.records. A connection that failed is dropped.
func (c *cursor) fetch(ctx context.Context) error {
	c.records, c.arena = c.records[:0], c.arena[:0]
	conn, err := c.connect(ctx)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() }) // ends a fetch that waits
	err = c.read(conn)
	alive := stop()
	switch {
	case alive && (err == nil || errors.Is(err, kafka.RequestTimedOut)):
		return nil
	case alive && errors.Is(err, io.ErrShortBuffer):
		c.whole = true
		return nil
	}
	c.drop()
	if errors.Is(err, kafka.OffsetOutOfRange) {
		err = c.outOfRange(ctx)
	}
	if err == nil || errors.As(err, new(*eventlog.PositionError)) {
		return err
	}
	return &readError{c.place, c.at, c.log.config.denial(err, "READ", c.topic)}
}

// connect returns the connection, dialled anew after a failure. A topic that was
// deleted and made again has other records at the same offsets, so it is refused.
func (c *cursor) connect(ctx context.Context) (*kafka.Conn, error) {
	c.mu.Lock()
	conn := c.conn
	c.mu.Unlock()
	if conn != nil {
		return conn, nil
	}
	ctx, done := c.log.until(ctx)
	defer done()
	p, id, err := c.log.leader(ctx, c.place)
	if err != nil {
		return nil, err
	}
	if id != c.id {
		return nil, c.madeAnew(ctx)
	}
	if conn, err = c.log.dial(ctx, p); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errors.Join(eventlog.ErrClosed, conn.Close())
	}
	c.conn = conn
	return conn, nil
}

// madeAnew says that the topic being read is another one now.
func (c *cursor) madeAnew(ctx context.Context) error {
	start, end, err := c.log.Bounds(ctx, c.topic, c.partition)
	if err != nil {
		return err
	}
	return &eventlog.PositionError{Topic: c.topic, Partition: c.partition, Position: c.at, Start: start, End: end}
}

func (c *cursor) read(conn *kafka.Conn) error {
	batch, err := fetchAt(conn, c.at, maxFetch)
	if err != nil {
		return err
	}
	if c.whole {
		err = c.readWhole(batch)
	} else {
		err = c.readValues(batch)
	}
	if closing := batch.Close(); err == nil {
		err = closing
	}
	return err
}

// fetchAt asks for records from an offset on.
func fetchAt(conn *kafka.Conn, offset int64, bytes int) (*kafka.Batch, error) {
	if _, err := conn.Seek(offset, kafka.SeekAbsolute|kafka.SeekDontCheck); err != nil {
		return nil, fmt.Errorf("seek: %w", err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(maxWait + answerTimeout)); err != nil {
		return nil, fmt.Errorf("set the deadline: %w", err)
	}
	return conn.ReadBatchWith(kafka.ReadBatchConfig{MinBytes: 1, MaxBytes: bytes, MaxWait: maxWait}), nil
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
	return fmt.Errorf("the broker refuses an offset of [%d, %d]", start, end) // a leader that lags behind: ask again
}

func (c *cursor) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil {
		c.conn.Close() // the error that counts is the one at hand
		c.conn = nil
	}
}

// Close implements eventlog.Cursor. A Next that waits ends with ErrClosed.
func (c *cursor) Close() error {
	c.log.mu.Lock()
	delete(c.log.cursors, c)
	c.log.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.conn == nil {
		return nil
	}
	conn := c.conn
	c.conn = nil
	if err := conn.Close(); err != nil {
		return fmt.Errorf("close the connection to %s partition %d: %w", c.topic, c.partition, err)
	}
	return nil
}
