package memlog

import (
	"bytes"
	"context"
	"fmt"
	"sync"

	"archbench/common/eventlog"
)

// MaxValueBytes is the longest value that a cursor hands out; a longer one is marked TooLarge.
const MaxValueBytes = 64 << 10

// maxBatch bounds how many records one Next returns.
const maxBatch = 4096

// Log is a set of topics in memory. It implements eventlog.Log and eventlog.Admin.
type Log struct {
	mu     sync.Mutex
	closed bool
	topics map[string][]*partition
}

type partition struct {
	start   int64             // offset of records[0]
	records []eventlog.Record // never changed once appended
	grown   chan struct{}     // closed and replaced whenever the partition changes
	deleted bool
}

// New returns a log without topics.
func New() *Log { return &Log{topics: map[string][]*partition{}} }

// Create implements eventlog.Admin.
func (l *Log) Create(_ context.Context, partitions int, topics ...string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return eventlog.ErrClosed
	}
	for _, t := range topics {
		if _, ok := l.topics[t]; ok {
			return fmt.Errorf("create topic %s: %w", t, eventlog.ErrTopicExists)
		}
		ps := make([]*partition, partitions)
		for i := range ps {
			ps[i] = &partition{grown: make(chan struct{})}
		}
		l.topics[t] = ps
	}
	return nil
}

// Delete implements eventlog.Admin.
func (l *Log) Delete(_ context.Context, topics ...string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return eventlog.ErrClosed
	}
	for _, t := range topics {
		if _, ok := l.topics[t]; !ok {
			return fmt.Errorf("delete topic %s: %w", t, eventlog.ErrUnknownTopic)
		}
		for _, p := range l.topics[t] {
			p.deleted = true
			p.wake()
		}
		delete(l.topics, t)
	}
	return nil
}

// AddPartitions implements eventlog.Admin.
func (l *Log) AddPartitions(_ context.Context, topic string, n int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return eventlog.ErrClosed
	}
	ps, ok := l.topics[topic]
	switch {
	case !ok:
		return fmt.Errorf("add partitions to %s: %w", topic, eventlog.ErrUnknownTopic)
	case n <= len(ps):
		return fmt.Errorf("add partitions to %s: it has %d already, %d were asked for", topic, len(ps), n)
	}
	for len(ps) < n {
		ps = append(ps, &partition{grown: make(chan struct{})})
	}
	l.topics[topic] = ps
	return nil
}

// Truncate implements eventlog.Admin.
func (l *Log) Truncate(_ context.Context, topic string, part int, offset int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, err := l.find(topic, part)
	if err != nil {
		return err
	}
	if offset < p.start || offset > p.end() {
		return fmt.Errorf("truncate %s partition %d: offset %d is outside [%d, %d]", topic, part, offset, p.start, p.end())
	}
	p.records = p.records[offset-p.start:]
	p.start = offset
	p.wake()
	return nil
}

// Partitions implements eventlog.Log.
func (l *Log) Partitions(_ context.Context, topic string) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return 0, eventlog.ErrClosed
	}
	ps, ok := l.topics[topic]
	if !ok {
		return 0, fmt.Errorf("topic %s: %w", topic, eventlog.ErrUnknownTopic)
	}
	return len(ps), nil
}

// Bounds implements eventlog.Log.
func (l *Log) Bounds(_ context.Context, topic string, part int) (start, end int64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, err := l.find(topic, part)
	if err != nil {
		return 0, 0, err
	}
	return p.start, p.end(), nil
}

// Append implements eventlog.Log.
func (l *Log) Append(_ context.Context, topic string, records ...eventlog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return eventlog.ErrClosed
	}
	ps, ok := l.topics[topic]
	if !ok {
		return fmt.Errorf("append to %s: %w", topic, eventlog.ErrUnknownTopic)
	}
	grown := make([]bool, len(ps))
	for _, r := range records {
		n := eventlog.Partition(r.Key, len(ps))
		p := ps[n]
		grown[n] = true
		kept := eventlog.Record{Offset: p.end(), Key: bytes.Clone(r.Key), Value: bytes.Clone(r.Value)}
		for _, h := range r.Headers {
			kept.Headers = append(kept.Headers, eventlog.Header{Key: h.Key, Value: bytes.Clone(h.Value)})
		}
		p.records = append(p.records, kept)
	}
	for n, p := range ps {
		if grown[n] {
			p.wake()
		}
	}
	return nil
}

// Fetch implements eventlog.Log.
func (l *Log) Fetch(_ context.Context, topic string, part int, offset int64) (eventlog.Record, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, err := l.find(topic, part)
	if err != nil {
		return eventlog.Record{}, err
	}
	if offset < p.start || offset >= p.end() {
		return eventlog.Record{}, &eventlog.PositionError{Topic: topic, Partition: part, Position: offset, Start: p.start, End: p.end()}
	}
	return p.records[offset-p.start], nil
}

// Open implements eventlog.Log.
func (l *Log) Open(_ context.Context, topic string, part int, offset int64) (eventlog.Cursor, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, err := l.find(topic, part)
	if err != nil {
		return nil, err
	}
	if offset < p.start || offset > p.end() {
		return nil, &eventlog.PositionError{Topic: topic, Partition: part, Position: offset, Start: p.start, End: p.end()}
	}
	return &cursor{log: l, topic: topic, number: part, partition: p, at: offset, closed: make(chan struct{})}, nil
}

// Close implements eventlog.Log.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, ps := range l.topics {
		for _, p := range ps {
			p.wake()
		}
	}
	return nil
}

func (l *Log) find(topic string, part int) (*partition, error) {
	if l.closed {
		return nil, eventlog.ErrClosed
	}
	ps, ok := l.topics[topic]
	if !ok {
		return nil, fmt.Errorf("topic %s: %w", topic, eventlog.ErrUnknownTopic)
	}
	if part < 0 || part >= len(ps) {
		return nil, fmt.Errorf("topic %s has no partition %d, only %d", topic, part, len(ps))
	}
	return ps[part], nil
}

func (p *partition) end() int64 { return p.start + int64(len(p.records)) }

func (p *partition) wake() {
	close(p.grown)
	p.grown = make(chan struct{})
}

type cursor struct {
	log       *Log
	topic     string
	number    int
	partition *partition
	at        int64
	batch     []eventlog.Record
	once      sync.Once
	closed    chan struct{}
}

// Next implements eventlog.Cursor.
func (c *cursor) Next(ctx context.Context) ([]eventlog.Record, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		batch, grown, err := c.take()
		if err != nil || len(batch) > 0 {
			return batch, err
		}
		select {
		case <-grown:
		case <-c.closed:
			return nil, eventlog.ErrClosed
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// take copies what is at hand; with nothing there it returns a channel that closes on a change.
func (c *cursor) take() ([]eventlog.Record, <-chan struct{}, error) {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	p := c.partition
	select {
	case <-c.closed:
		return nil, nil, eventlog.ErrClosed
	default:
	}
	switch {
	case c.log.closed:
		return nil, nil, eventlog.ErrClosed
	case p.deleted:
		anew, err := c.log.find(c.topic, c.number)
		if err != nil {
			return nil, nil, err
		}
		return nil, nil, &eventlog.PositionError{Topic: c.topic, Partition: c.number, Position: c.at, Start: anew.start, End: anew.end()}
	case c.at < p.start:
		return nil, nil, &eventlog.PositionError{Topic: c.topic, Partition: c.number, Position: c.at, Start: p.start, End: p.end()}
	}
	here := p.records[c.at-p.start:]
	here = here[:min(len(here), maxBatch)]
	c.batch = append(c.batch[:0], here...)
	for i := range c.batch {
		if len(c.batch[i].Value) > MaxValueBytes {
			c.batch[i].Value, c.batch[i].TooLarge = nil, true
		}
	}
	c.at += int64(len(here))
	return c.batch, p.grown, nil
}

// Close implements eventlog.Cursor.
func (c *cursor) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}
