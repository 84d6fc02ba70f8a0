package kafkalog

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	kgoplain "github.com/twmb/franz-go/pkg/sasl/plain"
	kgoscram "github.com/twmb/franz-go/pkg/sasl/scram"

	"archbench/common/eventlog"
)

// Config says how to reach a cluster.
type Config struct {
	Bootstrap []string
	ClientID  string      // by which brokers tell clients apart; empty: archbench
	TLS       *tls.Config // nil: plaintext
	// Mechanism is one of Mechanisms; empty: no SASL.
	Mechanism, User, Password string
	// Compression is what Append compresses with, one of Compressions; empty: none.
	// Reading takes them all.
	Compression string
	// Retention is the least time for which topics keep records; 0: for ever.
	Retention time.Duration
}

const (
	dialTimeout = 5 * time.Second
	// answerTimeout bounds the wait for a broker's answer beyond what it was told to wait.
	answerTimeout = 15 * time.Second
	// backoff is the pause before what failed is tried again.
	backoff = 100 * time.Millisecond
	// giveUp is how long a write, or the fetch of one record, is tried again.
	giveUp = 60 * time.Second
	// giveUpAsking is how long a question to the cluster is tried again.
	giveUpAsking = 10 * time.Second
	// believeGone is how long a cluster has to say that a topic in use does not
	// exist: a broker that has just started may not know it yet.
	believeGone = time.Second
	// metadataAge is how old an answer about topics may be; the client's default of 5 s would hide a change.
	metadataAge = 10 * time.Millisecond
)

// Log implements eventlog.Log and eventlog.Admin on a Kafka cluster.
type Log struct {
	config    Config
	mechanism sasl.Mechanism         // of kafka-go; nil: no SASL
	codec     kafka.CompressionCodec // nil: none
	connect   func(ctx context.Context, network, address string) (net.Conn, error)
	received  *atomic.Int64 // bytes that came over the connections made by connect
	client    *kgo.Client
	admin     *kadm.Client
	life      context.Context // ends with Close
	end       context.CancelFunc

	mu       sync.Mutex
	widths   map[string]int // partitions of the topics written to
	writers  map[place]*line
	fetchers map[place]*line
	cursors  map[*cursor]struct{}
}

type place struct {
	topic     string
	partition int
}

// Open connects to a cluster and fails if no broker answers within ten seconds,
// or as soon as one refuses to be talked to like this.
func Open(ctx context.Context, c Config) (*Log, error) {
	if len(c.Bootstrap) == 0 {
		return nil, errors.New("no Kafka broker is named: give at least one address as HOST:PORT")
	}
	mechanism, options, err := c.sasl()
	if err != nil {
		return nil, err
	}
	codec, err := codecOf(c.Compression)
	if err != nil {
		return nil, err
	}
	if c.ClientID == "" {
		c.ClientID = "archbench"
	}
	options = append(options, kgo.ClientID(c.ClientID), kgo.SeedBrokers(c.Bootstrap...), kgo.DialTimeout(dialTimeout), kgo.MetadataMinAge(metadataAge),
		kgo.RetryTimeout(giveUpAsking), kgo.RequestRetries(int(giveUpAsking/backoff)), kgo.RetryBackoffFn(func(int) time.Duration { return backoff }))
	if c.TLS != nil {
		options = append(options, kgo.DialTLSConfig(c.TLS))
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return nil, fmt.Errorf("configure the Kafka client: %w", err)
	}
	answer, cancel := context.WithTimeout(ctx, giveUpAsking)
	defer cancel()
	admin := kadm.NewClient(client)
	if _, err := admin.BrokerMetadata(answer); err != nil {
		client.Close()
		return nil, c.unreachable(answer, err)
	}
	life, end := context.WithCancel(context.Background())
	received := new(atomic.Int64)
	return &Log{
		config:    c,
		mechanism: mechanism,
		codec:     codec,
		connect:   dialCounting(received, c.TLS),
		received:  received,
		client:    client, admin: admin, life: life, end: end,
		widths: map[string]int{}, writers: map[place]*line{}, fetchers: map[place]*line{}, cursors: map[*cursor]struct{}{},
	}, nil
}

// Mechanisms are the SASL mechanisms by which a user can log in.
func Mechanisms() []string { return []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} }

func (c Config) sasl() (sasl.Mechanism, []kgo.Opt, error) {
	switch c.Mechanism {
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
	return nil, nil, fmt.Errorf("unknown SASL mechanism %q: it may be %s", c.Mechanism, strings.Join(Mechanisms(), ", "))
}

// Close implements eventlog.Log. Cursors that wait and writes under way end with ErrClosed.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.life.Err() != nil {
		l.mu.Unlock()
		return nil
	}
	l.end()
	var cursors []*cursor
	for c := range l.cursors {
		cursors = append(cursors, c)
	}
	var lines []*line
	for _, those := range []map[place]*line{l.writers, l.fetchers} {
		for _, n := range those {
			lines = append(lines, n)
		}
	}
	l.mu.Unlock()
	l.client.Close()
	var errs []error
	for _, c := range cursors {
		errs = append(errs, c.Close())
	}
	for _, n := range lines {
		n.close()
	}
	return errors.Join(errs...)
}

// until derives a context that also ends with the log.
func (l *Log) until(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(l.life, cancel)
	return ctx, func() { stop(); cancel() }
}

// orClosed says ErrClosed for a failure that closing the log brought about.
func (l *Log) orClosed(err error) error {
	if err != nil && l.life.Err() != nil {
		return eventlog.ErrClosed
	}
	return err
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
