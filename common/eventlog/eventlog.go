package eventlog

import (
	"context"
	"errors"
	"fmt"

	"archbench/common/coverage"
)

// Header is one record header.
type Header struct {
	Key   string
	Value []byte
}

// Record is one record of a log.
type Record struct {
	Offset int64
	// Key and Headers are set by Fetch, and by cursors that get them for
	// nothing; a cursor over Kafka leaves them empty for speed.
	Key     []byte
	Headers []Header
	// Value is the content. A null and an empty value are not told apart (the
	// Kafka client does not): both are unusable, and both may come as either.
	Value []byte
	// TooLarge marks a value over the cursor's limit: Value is then empty and
	// only Fetch gives it whole.
	TooLarge bool
}

// Log is a set of partitioned, append-only topics.
type Log interface {
	// Partitions returns how many partitions the topic has. ErrUnknownTopic if it does not exist.
	Partitions(ctx context.Context, topic string) (int, error)
	// Bounds returns the offset of the first record that is still there and the
	// offset that the next record will get.
	Bounds(ctx context.Context, topic string, partition int) (start, end int64, err error)
	// Open returns a cursor whose first record is the one at offset. A position
	// outside [start, end] gives *PositionError, here or from the first Next.
	Open(ctx context.Context, topic string, partition int, offset int64) (Cursor, error)
	// Fetch reads one record whole, key and headers included.
	Fetch(ctx context.Context, topic string, partition int, offset int64) (Record, error)
	// Append writes records, each to the partition of its key (see Partition),
	// and returns when all replicas in sync have them.
	Append(ctx context.Context, topic string, records ...Record) error
	// Close releases connections; cursors end.
	Close() error
}

// Cursor reads one partition forward.
type Cursor interface {
	// Next waits for at least one record and returns what is at hand. Records
	// and their bytes are valid until the following call. A lost connection or a
	// moved leader is repaired inside; a position that is gone from the log is
	// *PositionError.
	Next(ctx context.Context) ([]Record, error)
	Close() error
}

// Admin creates and alters topics. The measurement owns its topics; the
// architectures never need it.
type Admin interface {
	// Create makes topics with the given number of partitions, unlimited
	// retention and no compaction. ErrTopicExists if one is there already.
	Create(ctx context.Context, partitions int, topics ...string) error
	// Truncate removes the records below offset, as retention would.
	Truncate(ctx context.Context, topic string, partition int, offset int64) error
	// AddPartitions gives a topic more partitions, n in all, as an operator might.
	AddPartitions(ctx context.Context, topic string, n int) error
	// Delete removes topics.
	Delete(ctx context.Context, topics ...string) error
}

var (
	// ErrUnknownTopic means that the topic does not exist.
	ErrUnknownTopic = errors.New("unknown topic")
	// ErrTopicExists means that a topic to be created is there already.
	ErrTopicExists = errors.New("topic exists already")
	// ErrDenied means that the cluster does not allow this user to do it.
	ErrDenied = errors.New("not allowed")
	// ErrClosed means that the log or the cursor has been closed.
	ErrClosed = errors.New("log is closed")
)

// PositionError means that a position is not in the log any more: the head was
// removed (retention) or the log was cut or made anew. A position between Start
// and End belongs to a topic that was deleted; another one has its name now.
type PositionError struct {
	Topic      string
	Partition  int
	Position   int64
	Start, End int64
}

// Below reports whether the position lies below the log's start.
func (e *PositionError) Below() bool { return e.Position < e.Start }

func (e *PositionError) Error() string {
	if e.Below() {
		return fmt.Sprintf("%s partition %d: offset %d is gone, the log now starts at %d (retention removed what was not yet read): "+
			"start over with an empty data directory and a topic that still has its history", e.Topic, e.Partition, e.Position, e.Start)
	}
	if e.Position <= e.End {
		return fmt.Sprintf("%s partition %d: the topic was deleted and made anew while offset %d of the old one was to be read: "+
			"use a new data directory or restore the topic", e.Topic, e.Partition, e.Position)
	}
	return fmt.Sprintf("%s partition %d: offset %d was committed but the log ends at %d (the topic was recreated or cut): "+
		"use a new data directory or restore the topic", e.Topic, e.Partition, e.Position, e.End)
}

// PartitionsChangedError means that a topic has another number of partitions
// than the state was built with, which moves keys and cannot be answered rightly.
type PartitionsChangedError struct {
	Topic   string
	Was, Is int
}

func (e *PartitionsChangedError) Error() string {
	return fmt.Sprintf("%s has %d partitions but the state was built with %d: the number of partitions is fixed for the life of a topic set, "+
		"because another one moves keys; use a new topic set and an empty data directory", e.Topic, e.Is, e.Was)
}

// Topics names the set that one measurement uses.
type Topics struct {
	Orders, Customers, DLQ, Alerts string
}

// TopicsOf returns the set under a prefix: <prefix>.orders and so on.
func TopicsOf(prefix string) Topics {
	return Topics{Orders: prefix + ".orders", Customers: prefix + ".customers", DLQ: prefix + ".orders.dlq", Alerts: prefix + ".alerts"}
}

// All lists the topics of the set.
func (t Topics) All() []string { return []string{t.Orders, t.Customers, t.DLQ, t.Alerts} }

// Bounds are the first and next offsets of both input topics.
type Bounds struct{ Start, End coverage.Coverage }

// Inputs reads the bounds of both input topics. It fails if they do not have
// the same number of partitions.
func Inputs(ctx context.Context, log Log, t Topics) (Bounds, error) {
	n, err := log.Partitions(ctx, t.Orders)
	if err != nil {
		return Bounds{}, fmt.Errorf("partitions of %s: %w", t.Orders, err)
	}
	if m, err := log.Partitions(ctx, t.Customers); err != nil {
		return Bounds{}, fmt.Errorf("partitions of %s: %w", t.Customers, err)
	} else if m != n {
		return Bounds{}, fmt.Errorf("%s has %d partitions and %s has %d: both need the same number, so that a customer's lines and profile share a partition", t.Orders, n, t.Customers, m)
	}
	b := Bounds{Start: coverage.Zero(n), End: coverage.Zero(n)}
	for p := range n {
		if b.Start.Orders[p], b.End.Orders[p], err = log.Bounds(ctx, t.Orders, p); err != nil {
			return Bounds{}, fmt.Errorf("bounds of %s partition %d: %w", t.Orders, p, err)
		}
		if b.Start.Customers[p], b.End.Customers[p], err = log.Bounds(ctx, t.Customers, p); err != nil {
			return Bounds{}, fmt.Errorf("bounds of %s partition %d: %w", t.Customers, p, err)
		}
	}
	return b, nil
}

// Verify checks that reading can go on from a committed position: the number of
// partitions is the same (*PartitionsChangedError) and each position is still in
// the log (*PositionError).
func (b Bounds) Verify(t Topics, at coverage.Coverage) error {
	for _, in := range []struct {
		topic          string
		at, start, end coverage.Vector
	}{
		{t.Orders, at.Orders, b.Start.Orders, b.End.Orders},
		{t.Customers, at.Customers, b.Start.Customers, b.End.Customers},
	} {
		if len(in.at) != len(in.end) {
			return &PartitionsChangedError{Topic: in.topic, Was: len(in.at), Is: len(in.end)}
		}
		for p, o := range in.at {
			if o < in.start[p] || o > in.end[p] {
				return &PositionError{Topic: in.topic, Partition: p, Position: o, Start: in.start[p], End: in.end[p]}
			}
		}
	}
	return nil
}
