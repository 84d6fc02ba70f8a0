package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/segmentio/kafka-go"

	"archbench/common/eventlog"
)

// oneBatch is what the fetch of one record asks for; the broker sends at least
// the whole batch that holds it.
const oneBatch = 1 << 10

// Fetch implements eventlog.Log.
func (l *Log) Fetch(ctx context.Context, topic string, partition int, offset int64) (r eventlog.Record, err error) {
	at := place{topic, partition}
	err = l.lineTo(l.fetchers, at).do(ctx, func(conn *kafka.Conn) error {
		r, err = fetchOne(conn, offset)
		if errors.Is(err, kafka.OffsetOutOfRange) || errors.Is(err, kafka.RequestTimedOut) {
			if outside := l.outside(ctx, at, offset); outside != nil {
				return outside
			}
		}
		return err
	})
	if err != nil {
		return eventlog.Record{}, fmt.Errorf("fetch %s partition %d offset %d: %w", topic, partition, offset, l.config.denial(err, "READ", topic))
	}
	return r, nil
}

// outside is a *PositionError if the offset has no record, because it lies
// before the log's start or is yet to be written.
func (l *Log) outside(ctx context.Context, at place, offset int64) error {
	start, end, err := l.Bounds(ctx, at.topic, at.partition)
	if err == nil && (offset < start || offset >= end) {
		err = &eventlog.PositionError{Topic: at.topic, Partition: at.partition, Position: offset, Start: start, End: end}
	}
	return err
}

// errGap means that the log goes on behind an offset which has no record.
var errGap = errors.New("there is no record at this offset")

func fetchOne(conn *kafka.Conn, offset int64) (eventlog.Record, error) {
	batch, err := fetchAt(conn, offset, oneBatch)
	if err != nil {
		return eventlog.Record{}, err
	}
	m, err := batch.ReadMessage() // passes over what lies before the offset
	closing := batch.Close()
	switch {
	case errors.Is(err, io.EOF):
		return eventlog.Record{}, kafka.RequestTimedOut
	case err != nil:
		return eventlog.Record{}, err
	case closing != nil:
		return eventlog.Record{}, closing
	case m.Offset != offset:
		return eventlog.Record{}, errGap
	}
	r := eventlog.Record{Offset: m.Offset, Key: m.Key, Value: m.Value}
	for _, h := range m.Headers {
		r.Headers = append(r.Headers, eventlog.Header{Key: h.Key, Value: h.Value})
	}
	return r, nil
}
