package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"golang.org/x/sync/errgroup"

	"archbench/common/eventlog"
)

// maxWrite bounds one write, below the 1 MB that brokers accept by default.
const maxWrite = 800 << 10

// Append implements eventlog.Log. A write whose answer is lost is sent again, so
// records may appear twice; that is what event ids are for.
func (l *Log) Append(ctx context.Context, topic string, records ...eventlog.Record) error {
	n, err := l.width(ctx, topic)
	if err != nil {
		return err
	}
	byPartition := make([][]kafka.Message, n)
	for _, r := range records {
		m := kafka.Message{Key: r.Key, Value: r.Value}
		for _, h := range r.Headers {
			m.Headers = append(m.Headers, kafka.Header{Key: h.Key, Value: h.Value})
		}
		p := eventlog.Partition(r.Key, n)
		byPartition[p] = append(byPartition[p], m)
	}
	g, ctx := errgroup.WithContext(ctx)
	for p, messages := range byPartition {
		if len(messages) > 0 {
			g.Go(func() error { return l.writer(place{topic, p}).write(ctx, messages) })
		}
	}
	return g.Wait()
}

// width is the topic's number of partitions, asked for once: it is fixed for
// the life of a topic.
func (l *Log) width(ctx context.Context, topic string) (int, error) {
	l.mu.Lock()
	w, ok := l.writers[place{topic, -1}]
	l.mu.Unlock()
	if ok {
		return w.partitions, nil
	}
	n, err := l.Partitions(ctx, topic)
	if err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writers[place{topic, -1}] = &writer{partitions: n}
	return n, nil
}

func (l *Log) writer(at place) *writer {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.writers[at]
	if w == nil {
		w = &writer{log: l, place: at}
		l.writers[at] = w
	}
	return w
}

// writer is the connection on which one partition is written. Under partition
// -1 it only holds the topic's number of partitions.
type writer struct {
	log *Log
	place
	partitions int

	mu   sync.Mutex
	conn *kafka.Conn
}

// write sends messages in order, a bounded number of bytes at a time.
func (w *writer) write(ctx context.Context, messages []kafka.Message) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(messages) > 0 {
		n, bytes := 0, 0
		for n < len(messages) && (n == 0 || bytes+size(&messages[n]) <= maxWrite) {
			bytes += size(&messages[n])
			n++
		}
		if err := w.send(ctx, messages[:n]); err != nil {
			return fmt.Errorf("write to %s partition %d: %w", w.topic, w.partition, err)
		}
		messages = messages[n:]
	}
	return nil
}

func size(m *kafka.Message) int {
	n := len(m.Key) + len(m.Value) + 32
	for _, h := range m.Headers {
		n += len(h.Key) + len(h.Value) + 8
	}
	return n
}

// send writes one batch, on a new connection to the present leader after a failure.
func (w *writer) send(ctx context.Context, messages []kafka.Message) error {
	for began := time.Now(); ; {
		err := w.try(ctx, messages)
		var refused kafka.Error
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, eventlog.ErrClosed), errors.As(err, &refused) && !refused.Temporary(), time.Since(began) > giveUpWriting:
			return err
		}
		if err := pause(ctx, backoff); err != nil {
			return err
		}
	}
}

func (w *writer) try(ctx context.Context, messages []kafka.Message) error {
	if w.conn == nil {
		conn, err := w.log.dial(ctx, w.place)
		if err != nil {
			return err
		}
		if err := conn.SetRequiredAcks(int(kafka.RequireAll)); err != nil {
			return errors.Join(err, conn.Close())
		}
		w.conn = conn
	}
	conn := w.conn
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	err := conn.SetDeadline(time.Now().Add(answerTimeout))
	if err == nil {
		_, err = conn.WriteMessages(messages...)
	}
	if err != nil {
		conn.Close() // the error that counts is the one at hand
		w.conn = nil
	}
	return err
}

func (w *writer) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conn != nil {
		w.conn.Close() // nothing is under way: writes hold the lock
		w.conn = nil
	}
}
