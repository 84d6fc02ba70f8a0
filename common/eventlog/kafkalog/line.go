package kafkalog

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kadm"

	"archbench/common/eventlog"
)

// leader asks the cluster who leads a partition now, and for the topic's id,
// which tells a topic from another one made later under its name.
func (l *Log) leader(ctx context.Context, at place) (kafka.Partition, kadm.TopicID, error) {
	brokers, d, err := l.describe(ctx, at.topic)
	if err != nil {
		return kafka.Partition{}, kadm.TopicID{}, err
	}
	p, ok := d.Partitions[int32(at.partition)]
	if !ok {
		return kafka.Partition{}, kadm.TopicID{}, &noPartition{at, len(d.Partitions)}
	}
	i := slices.IndexFunc(brokers, func(b kadm.BrokerDetail) bool { return b.NodeID == p.Leader })
	if i < 0 {
		return kafka.Partition{}, kadm.TopicID{}, fmt.Errorf("%s partition %d has no leader", at.topic, at.partition)
	}
	return kafka.Partition{
		Topic: at.topic, ID: at.partition,
		Leader: kafka.Broker{ID: int(p.Leader), Host: brokers[i].Host, Port: int(brokers[i].Port)},
	}, d.ID, nil
}

// noPartition means that a topic has fewer partitions than somebody thinks.
type noPartition struct {
	place
	has int
}

func (e *noPartition) Error() string {
	return fmt.Sprintf("topic %s has no partition %d, only %d", e.topic, e.partition, e.has)
}

// dial connects to the partition's leader and is let in. kafka-go waits for the
// answers to SASL without end, so the end of the context closes the connection.
func (l *Log) dial(ctx context.Context, p kafka.Partition) (*kafka.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	inTime := func() bool { return true }
	dialer := kafka.Dialer{ClientID: l.config.ClientID, SASLMechanism: l.mechanism, DialFunc: func(_ context.Context, network, address string) (net.Conn, error) {
		conn, err := l.connect(ctx, network, address)
		if err == nil {
			inTime = context.AfterFunc(ctx, func() { conn.Close() })
		}
		return conn, err
	}}
	conn, err := dialer.DialPartition(ctx, "tcp", "", p)
	if err == nil && !inTime() {
		err = errors.Join(context.Cause(ctx), conn.Close())
	}
	if err != nil {
		at := net.JoinHostPort(p.Leader.Host, strconv.Itoa(p.Leader.Port))
		return nil, fmt.Errorf("connect to the leader of %s partition %d at %s: %w", p.Topic, p.ID, at, l.config.refusal(err))
	}
	if err := conn.SetRequiredAcks(int(kafka.RequireAll)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// final reports whether trying again cannot help.
func final(err error) bool {
	var refused kafka.Error
	return errors.Is(err, eventlog.ErrClosed) || errors.Is(err, eventlog.ErrUnknownTopic) || errors.Is(err, errGap) || errors.As(err, new(*eventlog.PositionError)) ||
		errors.As(err, new(*noPartition)) || errors.As(err, new(*tls.CertificateVerificationError)) || errors.As(err, &refused) && !refused.Temporary()
}

// lasting says since when something has been so.
type lasting struct{ since time.Time }

// shorterThan notes that it is so and reports whether that is new enough.
func (s *lasting) shorterThan(d time.Duration) bool {
	if s.since.IsZero() {
		s.since = time.Now()
	}
	return time.Since(s.since) < d
}

// line is a connection to one partition's leader that is dialled when it is
// needed, and again after a failure.
type line struct {
	log *Log
	place
	mu   sync.Mutex // held while the line is used
	conn *kafka.Conn
}

// lineTo returns the line kept for a place in one of the log's maps.
func (l *Log) lineTo(kept map[place]*line, at place) *line {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := kept[at]
	if n == nil {
		n = &line{log: l, place: at}
		kept[at] = n
	}
	return n
}

// forget drops what is kept of topics that are gone or have changed.
func (l *Log) forget(topics []string) {
	l.mu.Lock()
	var gone []*line
	for _, kept := range []map[place]*line{l.writers, l.fetchers} {
		for at, n := range kept {
			if slices.Contains(topics, at.topic) {
				gone = append(gone, n)
				delete(kept, at)
			}
		}
	}
	for _, t := range topics {
		delete(l.widths, t)
	}
	l.mu.Unlock()
	for _, n := range gone {
		n.close()
	}
}

// do runs use on the connection, and again on a new one to the present leader
// after a failure that may pass.
func (n *line) do(ctx context.Context, use func(*kafka.Conn) error) error {
	given := ctx
	ctx, done := n.log.until(ctx)
	defer done()
	n.mu.Lock()
	defer n.mu.Unlock()
	var gone, failing lasting
	for {
		err := n.try(ctx, use)
		switch {
		case err == nil:
			return nil
		case given.Err() != nil:
			return given.Err()
		case n.log.life.Err() != nil:
			return eventlog.ErrClosed
		case errors.Is(err, eventlog.ErrUnknownTopic) && gone.shorterThan(believeGone):
		case final(err), !failing.shorterThan(giveUp):
			return err
		}
		_ = pause(ctx, backoff) // an end that comes meanwhile shows in the next try
	}
}

func (n *line) try(ctx context.Context, use func(*kafka.Conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if n.conn == nil {
		p, _, err := n.log.leader(ctx, n.place)
		if err != nil {
			return err
		}
		if n.conn, err = n.log.dial(ctx, p); err != nil {
			return err
		}
	}
	conn := n.conn
	stop := context.AfterFunc(ctx, func() { conn.Close() }) // ends a use that waits
	err := conn.SetDeadline(time.Now().Add(answerTimeout))
	if err == nil {
		err = use(conn)
	}
	if !stop() || err != nil && !errors.As(err, new(*eventlog.PositionError)) {
		conn.Close() // the error that counts is the one at hand
		n.conn = nil
	}
	return err
}

func (n *line) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.conn != nil {
		n.conn.Close() // nothing is under way: users hold the lock
		n.conn = nil
	}
}
