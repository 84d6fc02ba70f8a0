package kafkalog

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	kgoplain "github.com/twmb/franz-go/pkg/sasl/plain"
	kgoscram "github.com/twmb/franz-go/pkg/sasl/scram"

	"archbench/common/eventlog"
)

// Config says how to reach a cluster.
type Config struct {
	Bootstrap []string
	TLS       *tls.Config // nil: plaintext
	// Mechanism is PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; empty: no SASL.
	Mechanism, User, Password string
}

const (
	dialTimeout = 5 * time.Second
	// answerTimeout bounds the wait for a broker's answer beyond what it was told to wait.
	answerTimeout = 15 * time.Second
	// backoff is the pause before a failed connection is tried again.
	backoff = 100 * time.Millisecond
	// giveUpWriting is how long a write is tried again.
	giveUpWriting = 60 * time.Second
)

// Log implements eventlog.Log and eventlog.Admin on a Kafka cluster.
type Log struct {
	config Config
	dialer *kafka.Dialer
	client *kgo.Client
	admin  *kadm.Client

	mu      sync.Mutex
	writers map[place]*writer
	closed  chan struct{}
	once    sync.Once
}

type place struct {
	topic     string
	partition int
}

// Open connects to a cluster and fails if no broker answers within ten seconds.
func Open(ctx context.Context, c Config) (*Log, error) {
	mechanism, option, err := c.sasl()
	if err != nil {
		return nil, err
	}
	options := append(option, kgo.SeedBrokers(c.Bootstrap...), kgo.RetryTimeout(10*time.Second), kgo.DialTimeout(dialTimeout))
	if c.TLS != nil {
		options = append(options, kgo.DialTLSConfig(c.TLS))
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return nil, fmt.Errorf("configure the Kafka client: %w", err)
	}
	l := &Log{
		config: c, client: client, admin: kadm.NewClient(client), writers: map[place]*writer{}, closed: make(chan struct{}),
		dialer: &kafka.Dialer{ClientID: "archbench", Timeout: dialTimeout, DualStack: true, TLS: c.TLS, SASLMechanism: mechanism},
	}
	answer, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if _, err := l.admin.BrokerMetadata(answer); err != nil {
		client.Close()
		return nil, fmt.Errorf("no Kafka broker answers at %s: %w", strings.Join(c.Bootstrap, ","), err)
	}
	return l, nil
}

func (c Config) sasl() (sasl.Mechanism, []kgo.Opt, error) {
	switch strings.ToUpper(c.Mechanism) {
	case "":
		return nil, nil, nil
	case "PLAIN":
		return plain.Mechanism{Username: c.User, Password: c.Password}, []kgo.Opt{kgo.SASL(kgoplain.Auth{User: c.User, Pass: c.Password}.AsMechanism())}, nil
	case "SCRAM-SHA-256":
		m, err := scram.Mechanism(scram.SHA256, c.User, c.Password)
		return m, []kgo.Opt{kgo.SASL(kgoscram.Auth{User: c.User, Pass: c.Password}.AsSha256Mechanism())}, err
	case "SCRAM-SHA-512":
		m, err := scram.Mechanism(scram.SHA512, c.User, c.Password)
		return m, []kgo.Opt{kgo.SASL(kgoscram.Auth{User: c.User, Pass: c.Password}.AsSha512Mechanism())}, err
	}
	return nil, nil, fmt.Errorf("unknown SASL mechanism %q: it may be PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", c.Mechanism)
}

// Partitions implements eventlog.Log. It asks the cluster every time.
func (l *Log) Partitions(ctx context.Context, topic string) (int, error) {
	details, err := l.admin.ListTopics(ctx, topic)
	if err != nil {
		return 0, fmt.Errorf("metadata of %s: %w", topic, err)
	}
	d := details[topic]
	if errors.Is(d.Err, kerr.UnknownTopicOrPartition) || d.Err == nil && len(d.Partitions) == 0 {
		return 0, fmt.Errorf("topic %s: %w", topic, eventlog.ErrUnknownTopic)
	}
	return len(d.Partitions), d.Err
}

// Bounds implements eventlog.Log.
func (l *Log) Bounds(ctx context.Context, topic string, partition int) (start, end int64, err error) {
	find := func(list func(context.Context, ...string) (kadm.ListedOffsets, error)) (int64, error) {
		all, err := list(ctx, topic)
		if err != nil {
			return 0, fmt.Errorf("offsets of %s: %w", topic, err)
		}
		o, ok := all.Lookup(topic, int32(partition))
		if !ok || errors.Is(o.Err, kerr.UnknownTopicOrPartition) {
			return 0, fmt.Errorf("offsets of %s partition %d: %w", topic, partition, eventlog.ErrUnknownTopic)
		}
		return o.Offset, o.Err
	}
	if start, err = find(l.admin.ListStartOffsets); err != nil {
		return 0, 0, err
	}
	end, err = find(l.admin.ListEndOffsets)
	return start, end, err
}

// Create implements eventlog.Admin.
func (l *Log) Create(ctx context.Context, partitions int, topics ...string) error {
	unlimited, remove := "-1", "delete"
	configs := map[string]*string{"retention.ms": &unlimited, "retention.bytes": &unlimited, "cleanup.policy": &remove}
	answers, err := l.admin.CreateTopics(ctx, int32(partitions), -1, configs, topics...)
	if err != nil {
		return fmt.Errorf("create topics: %w", err)
	}
	for _, a := range answers.Sorted() {
		switch {
		case errors.Is(a.Err, kerr.TopicAlreadyExists):
			return fmt.Errorf("create topic %s: %w", a.Topic, eventlog.ErrTopicExists)
		case a.Err != nil:
			return fmt.Errorf("create topic %s: %w %s", a.Topic, a.Err, a.ErrMessage)
		}
	}
	return l.awaitLeaders(ctx, partitions, topics)
}

// awaitLeaders returns when every partition can be written: a cluster answers
// before it has spread the news.
func (l *Log) awaitLeaders(ctx context.Context, partitions int, topics []string) error {
	for {
		details, err := l.admin.ListTopics(ctx, topics...)
		ready := err == nil
		for _, t := range topics {
			ready = ready && details[t].Err == nil && len(details[t].Partitions) == partitions
			for _, p := range details[t].Partitions {
				ready = ready && p.Err == nil && p.Leader >= 0
			}
		}
		if ready {
			return nil
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return fmt.Errorf("wait for leaders of %s: %w", strings.Join(topics, ", "), err)
		}
	}
}

// Truncate implements eventlog.Admin.
func (l *Log) Truncate(ctx context.Context, topic string, partition int, offset int64) error {
	var offsets kadm.Offsets
	offsets.AddOffset(topic, int32(partition), offset, -1)
	answers, err := l.admin.DeleteRecords(ctx, offsets)
	if err == nil {
		err = answers.Error()
	}
	if err != nil {
		return fmt.Errorf("delete the records of %s partition %d below %d: %w", topic, partition, offset, err)
	}
	return nil
}

// Delete implements eventlog.Admin.
func (l *Log) Delete(ctx context.Context, topics ...string) error {
	l.mu.Lock()
	for _, t := range topics { // connections to a topic that is made anew would be stale
		for at, w := range l.writers {
			if at.topic == t {
				w.close()
				delete(l.writers, at)
			}
		}
	}
	l.mu.Unlock()
	answers, err := l.admin.DeleteTopics(ctx, topics...)
	if err != nil {
		return fmt.Errorf("delete topics: %w", err)
	}
	for _, a := range answers.Sorted() {
		if errors.Is(a.Err, kerr.UnknownTopicOrPartition) {
			return fmt.Errorf("delete topic %s: %w", a.Topic, eventlog.ErrUnknownTopic)
		}
		if a.Err != nil {
			return fmt.Errorf("delete topic %s: %w", a.Topic, a.Err)
		}
	}
	return nil
}

// Close implements eventlog.Log.
func (l *Log) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.client.Close()
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, w := range l.writers {
			w.close()
		}
	})
	return nil
}

// dial connects to the partition's leader.
func (l *Log) dial(ctx context.Context, at place) (*kafka.Conn, error) {
	select {
	case <-l.closed:
		return nil, eventlog.ErrClosed
	default:
	}
	var errs []error
	for _, address := range l.config.Bootstrap {
		conn, err := l.dialer.DialLeader(ctx, "tcp", address, at.topic, at.partition)
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return nil, fmt.Errorf("connect to the leader of %s partition %d: %w", at.topic, at.partition, errors.Join(errs...))
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
