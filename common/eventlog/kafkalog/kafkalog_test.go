package kafkalog_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"archbench/common/eventlog"
	"archbench/common/eventlog/kafkalog"
	"archbench/common/eventlog/kafkalog/kafkalogtest"
	"archbench/common/eventlog/logtest"
)

// The stand-in for Kafka runs inside this process: quick, and it breaks when told to.
func cluster(t testing.TB, brokers int, options ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append(options, kfake.NumBrokers(brokers))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestLog(t *testing.T) {
	kafkalogtest.Run(t, cluster(t, 3).ListenAddrs())
}

// follow reads until n records came, checking that none is left out or comes twice.
func follow(ctx context.Context, c eventlog.Cursor, n int) error {
	for at := int64(0); at < int64(n); {
		rs, err := c.Next(ctx)
		if err != nil {
			return fmt.Errorf("after %d records: %w", at, err)
		}
		for _, r := range rs {
			if r.Offset != at || !strings.HasPrefix(string(r.Value), fmt.Sprintf("value %d ", at)) {
				return fmt.Errorf("offset %d is %q, want number %d", r.Offset, r.Value, at)
			}
			at++
		}
	}
	return nil
}

// trouble runs a writer and a reader while something goes wrong once per record.
func trouble(t *testing.T, c *kfake.Cluster, n int, wrong func(topic string, i int)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	l := kafkalogtest.Open(t, c.ListenAddrs())
	topic := logtest.Topic(t, l, 1)
	cursor, err := l.Open(ctx, topic, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer cursor.Close()
	read := make(chan error, 1)
	go func() { read <- follow(ctx, cursor, n) }()
	for i, r := range logtest.Records(0, n) {
		wrong(topic, i)
		if err := l.Append(ctx, topic, r); err != nil {
			t.Fatal(err)
		}
		if got, err := l.Fetch(ctx, topic, 0, int64(i)); err != nil || string(got.Value) != string(r.Value) {
			t.Fatalf("fetch %d: %q, %v", i, got.Value, err)
		}
	}
	if err := <-read; err != nil {
		t.Error(err)
	}
}

func TestLeadersThatMove(t *testing.T) {
	c := cluster(t, 3)
	trouble(t, c, 12, func(topic string, i int) {
		if err := c.MoveTopicPartition(topic, 0, int32(i%3)); err != nil {
			t.Error(err)
		}
	})
}

// Answers that say "not now" are asked again, on reading and on writing.
func TestErrorsThatPass(t *testing.T) {
	for _, e := range []*kerr.Error{kerr.NotLeaderForPartition, kerr.LeaderNotAvailable, kerr.KafkaStorageError, kerr.OffsetNotAvailable, kerr.UnknownTopicOrPartition} {
		t.Run(e.Message, func(t *testing.T) {
			t.Parallel()
			c := cluster(t, 1)
			var handles []*kfake.FaultHandle
			trouble(t, c, 4, func(topic string, _ int) {
				handles = append(handles,
					c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: topic, Err: e}),
					c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: e}))
			})
			for _, h := range handles {
				if h.Hits() == 0 {
					t.Error("a fault never came")
				}
			}
		})
	}
}

// A broker that cuts the connection in the middle of a request.
func TestConnectionsThatBreak(t *testing.T) {
	c := cluster(t, 1)
	broken := 0
	trouble(t, c, 6, func(string, int) {
		for _, key := range []kmsg.Key{kmsg.Fetch, kmsg.Produce} {
			c.ControlKey(int16(key), func(kmsg.Request) (kmsg.Response, error, bool) {
				broken++ // all controls run on the cluster's goroutine, which has ended by the time this is read
				return nil, errors.New("cut"), true
			})
		}
	})
	c.Close()
	if broken == 0 {
		t.Error("no connection was cut")
	}
}

// An answer that no waiting can better is handed on at once.
func TestErrorsThatStay(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c := cluster(t, 1)
	l := kafkalogtest.Open(t, c.ListenAddrs())
	topic := logtest.Topic(t, l, 1)
	cursor, err := l.Open(ctx, topic, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer cursor.Close()
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch, kmsg.Produce}, Topic: topic, Err: kerr.TopicAuthorizationFailed, Count: -1})
	if err := l.Append(ctx, topic, logtest.Records(0, 1)...); err == nil || ctx.Err() != nil {
		t.Errorf("append: %v", err)
	}
	if _, err := cursor.Next(ctx); err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), topic) {
		t.Errorf("next: %v", err)
	}
	if _, err := l.Fetch(ctx, topic, 0, 0); err == nil || ctx.Err() != nil {
		t.Errorf("fetch: %v", err)
	}
}

// A broker that does not answer holds up neither a cancelled reader nor Close.
func TestSilentBroker(t *testing.T) {
	c := cluster(t, 1)
	l := kafkalogtest.Open(t, c.ListenAddrs())
	topic := logtest.Topic(t, l, 1)
	silence := make(chan struct{})
	defer close(silence)
	for _, key := range []kmsg.Key{kmsg.Fetch, kmsg.Produce} {
		c.ControlKey(int16(key), func(kmsg.Request) (kmsg.Response, error, bool) {
			c.KeepControl()
			c.SleepControl(func() { <-silence })
			return nil, nil, false
		})
	}
	cursor, err := l.Open(t.Context(), topic, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := cursor.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("next: %v", err)
	}
	if err := l.Append(ctx, topic, logtest.Records(0, 1)...); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("append: %v", err)
	}
	ended := make(chan error, 2)
	go func() { _, err := cursor.Next(t.Context()); ended <- err }()
	go func() { ended <- l.Append(t.Context(), topic, logtest.Records(0, 1)...) }()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := <-ended; !errors.Is(err, eventlog.ErrClosed) {
			t.Errorf("when the log was closed: %v", err)
		}
	}
	if took := time.Since(began); took > 10*time.Second { // a request's own deadline comes after 15 s
		t.Errorf("it took %v", took)
	}
}

// The count of partitions is asked for, not remembered.
func TestPartitionsAreSeenAtOnce(t *testing.T) {
	c := cluster(t, 1)
	l, other := kafkalogtest.Open(t, c.ListenAddrs()), kafkalogtest.Open(t, c.ListenAddrs())
	topic := logtest.Topic(t, l, 2)
	for round := range 3 {
		if n, err := l.Partitions(t.Context(), topic); n != 2 || err != nil {
			t.Fatalf("round %d: %d, %v", round, n, err)
		}
		if err := other.Delete(t.Context(), topic); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond) // longer than an answer may be old
		if _, err := l.Partitions(t.Context(), topic); !errors.Is(err, eventlog.ErrUnknownTopic) {
			t.Fatalf("round %d: %v", round, err)
		}
		if err := other.Create(t.Context(), 2, topic); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestReceivedBytes(t *testing.T) {
	c := cluster(t, 1)
	writer, reader := kafkalogtest.Open(t, c.ListenAddrs()), kafkalogtest.Open(t, c.ListenAddrs())
	topic := logtest.Topic(t, writer, 1)
	if err := writer.Append(t.Context(), topic, eventlog.Record{Key: []byte("k"), Value: make([]byte, 10_000)}); err != nil {
		t.Fatal(err)
	}
	if n := reader.ReceivedBytes(); n != 0 {
		t.Errorf("%d bytes before anything was read", n)
	}
	cursor, err := reader.Open(t.Context(), topic, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer cursor.Close()
	if _, err := cursor.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := reader.ReceivedBytes(); n < 10_000 || n > 20_000 {
		t.Errorf("%d bytes for a value of 10,000", n)
	}
}

func TestTopicsAreKeptForEver(t *testing.T) {
	c := cluster(t, 1)
	l := kafkalogtest.Open(t, c.ListenAddrs())
	info := c.TopicInfo(logtest.Topic(t, l, 3))
	if info == nil {
		t.Fatal("the topic is not there")
	}
	for key, want := range map[string]string{"retention.ms": "-1", "retention.bytes": "-1", "cleanup.policy": "delete"} {
		if got := info.Configs[key]; got == nil || *got != want {
			t.Errorf("%s is %v, want %s", key, got, want)
		}
	}
}

func TestRefusals(t *testing.T) {
	for says, c := range map[string]kafkalog.Config{
		"no Kafka broker is named":                       {},
		"unknown compression \"brotli\": it may be none": {Bootstrap: []string{"127.0.0.1:1"}, Compression: "brotli"},
		"unknown SASL mechanism \"KERBEROS\"":            {Bootstrap: []string{"127.0.0.1:1"}, Mechanism: "KERBEROS"},
		"no Kafka broker answers at 127.0.0.1:1: ":       {Bootstrap: []string{"127.0.0.1:1"}},
	} {
		if _, err := kafkalog.Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v, want %q", c, err, says)
		}
	}
}

// SASL reaches both clients: the one that reads and writes, and the one that administers.
func TestSASL(t *testing.T) {
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		t.Run(mechanism, func(t *testing.T) {
			t.Parallel()
			c := cluster(t, 1, kfake.EnableSASL(), kfake.Superuser(mechanism, "user", "secret"))
			config := kafkalog.Config{Bootstrap: c.ListenAddrs(), Mechanism: mechanism, User: "user", Password: "secret"}
			l, err := kafkalog.Open(t.Context(), config)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			topic := logtest.Topic(t, l, 1)
			if err := l.Append(t.Context(), topic, logtest.Records(0, 3)...); err != nil {
				t.Fatal(err)
			}
			logtest.EveryOffset(t, l, topic, 3)
			config.Password = "wrong"
			if l, err := kafkalog.Open(t.Context(), config); err == nil {
				l.Close()
				t.Error("a wrong password was let in")
			}
		})
	}
}
