package kafkalog

import (
	"context"
	"fmt"
	"strings"

	"github.com/segmentio/kafka-go"
	"golang.org/x/sync/errgroup"

	"archbench/common/eventlog"
)

// maxWrite bounds one write, below the 1 MB that brokers accept by default.
const maxWrite = 800 << 10

// Uncompressed is the compression that is none.
const Uncompressed = "none"

// Compressions are what Append can compress with.
func Compressions() []string { return []string{Uncompressed, "gzip", "snappy", "lz4", "zstd"} }

// codecOf finds the codec of one of Compressions.
func codecOf(name string) (kafka.CompressionCodec, error) {
	switch name {
	case "", Uncompressed:
		return nil, nil
	case "gzip":
		return kafka.Gzip.Codec(), nil
	case "snappy":
		return kafka.Snappy.Codec(), nil
	case "lz4":
		return kafka.Lz4.Codec(), nil
	case "zstd":
		return kafka.Zstd.Codec(), nil
	}
	return nil, fmt.Errorf("unknown compression %q: it may be %s", name, strings.Join(Compressions(), ", "))
}

// Append implements eventlog.Log. A write whose answer is lost is sent again, so
// records may appear twice; that is what event ids are for.
func (l *Log) Append(ctx context.Context, topic string, records ...eventlog.Record) error {
	n, err := l.width(ctx, topic)
	if err != nil {
		return err
	}
	byPartition := make([][]kafka.Message, n)
	for i := range records {
		p := eventlog.Partition(records[i].Key, n)
		byPartition[p] = append(byPartition[p], message(&records[i]))
	}
	g, ctx := errgroup.WithContext(ctx)
	for p, messages := range byPartition {
		if len(messages) > 0 {
			g.Go(func() error { return l.write(ctx, place{topic, p}, messages) })
		}
	}
	return g.Wait()
}

func message(r *eventlog.Record) kafka.Message {
	m := kafka.Message{Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		m.Headers = append(m.Headers, kafka.Header{Key: h.Key, Value: h.Value})
	}
	return m
}

// width is the topic's number of partitions, asked for once: it is fixed for
// the life of a topic.
func (l *Log) width(ctx context.Context, topic string) (int, error) {
	l.mu.Lock()
	n, known := l.widths[topic]
	l.mu.Unlock()
	if l.life.Err() != nil {
		return 0, eventlog.ErrClosed
	}
	if known {
		return n, nil
	}
	n, err := l.Partitions(ctx, topic)
	if err != nil {
		return 0, fmt.Errorf("append to %s: %w", topic, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.widths[topic] = n
	return n, nil
}

// write sends messages in order, a bounded number of bytes at a time.
func (l *Log) write(ctx context.Context, at place, messages []kafka.Message) error {
	to := l.lineTo(l.writers, at)
	for len(messages) > 0 {
		n, bytes := 0, 0
		for n < len(messages) && (n == 0 || bytes+size(&messages[n]) <= maxWrite) {
			bytes += size(&messages[n])
			n++
		}
		if err := to.do(ctx, func(conn *kafka.Conn) error {
			_, err := conn.WriteCompressedMessages(l.codec, messages[:n]...)
			return err
		}); err != nil {
			return fmt.Errorf("write to %s partition %d: %w", at.topic, at.partition, l.config.denial(err, "WRITE", at.topic))
		}
		messages = messages[n:]
	}
	return nil
}

// size is about what a message takes in a batch.
func size(m *kafka.Message) int {
	n := len(m.Key) + len(m.Value) + 32
	for _, h := range m.Headers {
		n += len(h.Key) + len(h.Value) + 8
	}
	return n
}
