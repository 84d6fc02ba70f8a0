package broker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"archbench/common/eventlog"
	"archbench/common/eventlog/kafkalog"
	"archbench/common/eventlog/kafkalog/kafkalogtest"
	"archbench/common/eventlog/logtest"
	broker "archbench/testcontainers"
	"archbench/testcontainers/brokertest"
)

// azure is a login as Azure Event Hubs has it on its Kafka endpoint: the user is
// fixed and the password is the connection string.
const (
	azureUser     = "$ConnectionString"
	azurePassword = "Endpoint=sb://archbench.example/;SharedAccessKeyName=bench;SharedAccessKey=c2VjcmV0+Lw=="
)

// session is shorter than the test, so that logins end under way. Kafka takes no
// second login within a second.
const session = 2 * time.Second

// TestGuardedKafka goes by SASL over TLS to a real Kafka that lets logins end and
// has an authorizer.
func TestGuardedKafka(t *testing.T) {
	authority := kafkalogtest.NewAuthority(t)
	b := brokertest.Guarded(t, broker.Guard{CertificatePEM: authority.CertificatePEM, PrivateKeyPEM: authority.PrivateKeyPEM,
		Passwords: map[string]string{azureUser: azurePassword}, Session: session})
	operator := operate(t, b.Bootstrap())
	scram(t, operator, "limited", "hush")
	as := func(mechanism, user, password string) kafkalog.Config {
		return kafkalog.Config{Bootstrap: []string{b.Guarded()}, TLS: authority.Client(), Mechanism: mechanism, User: user, Password: password}
	}
	azure, limited := as("PLAIN", azureUser, azurePassword), as("SCRAM-SHA-512", "limited", "hush")

	t.Run("refused", func(t *testing.T) {
		plaintext, noSASL, toPlaintext, sha256 := azure, azure, azure, limited
		plaintext.TLS, noSASL.Mechanism, toPlaintext.Bootstrap, sha256.Mechanism = nil, "", b.Bootstrap(), "SCRAM-SHA-256"
		noTLS := azure
		noTLS.TLS, noTLS.Bootstrap = nil, b.Bootstrap()
		for _, c := range []struct {
			config kafkalog.Config
			says   string
		}{
			{as("PLAIN", azureUser, "wrong"), `does not let in user "$ConnectionString" by SASL PLAIN: check kafka.user and the password`},
			{as("SCRAM-SHA-512", "limited", "wrong"), `does not let in user "limited" by SASL SCRAM-SHA-512`},
			{sha256, "does not offer SASL SCRAM-SHA-256"},
			{plaintext, "speaks TLS at this address"},
			{noSASL, "it may let in nobody without SASL"},
			{toPlaintext, "does not speak TLS at this address"},
			{noTLS, "does not take SASL at this address"},
		} {
			l, err := kafkalog.Open(t.Context(), c.config)
			if err == nil {
				l.Close()
				t.Errorf("no %q: it was let in", c.says)
			} else if !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %q", err, c.says)
			}
		}
	})

	// Kafka ends a connection whose login is over: reader, writer and
	// administration log in again, and nothing is lost or comes twice.
	t.Run("logins end", func(t *testing.T) {
		l := kafkalogtest.OpenWith(t, azure)
		topic := logtest.Topic(t, l, 1)
		c, err := l.Open(t.Context(), topic, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		idle := connect(t, azure)
		defer idle.Close()
		const records = 60
		read := make(chan error, 1)
		go func() { read <- numbered(t.Context(), c, records) }()
		began := time.Now()
		for i, r := range logtest.Records(0, records) {
			time.Sleep(time.Until(began.Add(time.Duration(i) * 5 * session / 2 / records)))
			if err := l.Append(t.Context(), topic, r); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-read; err != nil {
			t.Fatal(err)
		}
		if _, err := idle.ReadPartitions(topic); err == nil {
			t.Error("a login that is over still serves: the others may not have had to log in again")
		}
		if start, end, err := l.Bounds(t.Context(), topic, 0); start != 0 || end != records || err != nil {
			t.Errorf("[%d, %d), %v; want %d records", start, end, err, records)
		}
	})

	// A user who may not create topics is told what to create, and goes on when
	// that is done.
	t.Run("may not create topics", func(t *testing.T) {
		l := kafkalogtest.OpenWith(t, limited)
		topics := []string{"limited.orders", "limited.customers"}
		denied := func(says string) {
			t.Helper()
			if _, err := l.Provide(t.Context(), 3, topics...); !errors.Is(err, eventlog.ErrDenied) || !strings.Contains(err.Error(), says) {
				t.Fatalf("%v, want %q", err, says)
			}
		}
		denied(`user "limited" may not DESCRIBE the topics limited.orders, limited.customers`)
		allow(t, operator, "limited", "limited.", kadm.OpRead, kadm.OpWrite, kadm.OpDescribeConfigs)
		eventually(t, func() bool {
			_, err := l.Provide(t.Context(), 3, topics...)
			return err != nil && strings.Contains(err.Error(), "may not CREATE")
		})
		denied("limited.customers, limited.orders; create each of them with 3 partitions, cleanup.policy=delete, retention.bytes=-1, retention.ms=-1")
		for _, topic := range topics {
			if _, err := operator.CreateTopic(t.Context(), 3, 1, map[string]*string{"retention.ms": kadm.StringPtr("-1")}, topic); err != nil {
				t.Fatal(err)
			}
		}
		if created, err := l.Provide(t.Context(), 3, topics...); err != nil || len(created) > 0 {
			t.Fatalf("created %v, %v", created, err)
		}
		if err := l.Append(t.Context(), topics[0], logtest.Records(0, 3)...); err != nil {
			t.Fatal(err)
		}
		if err := l.Delete(t.Context(), topics...); !errors.Is(err, eventlog.ErrDenied) {
			t.Errorf("deleted what it may not: %v", err)
		}
		if _, err := l.Provide(t.Context(), 3, topics...); err == nil || !strings.Contains(err.Error(), "limited.orders is there already and is not new") {
			t.Errorf("%v", err)
		}
	})

	t.Run("other settings", func(t *testing.T) {
		l := kafkalogtest.OpenWith(t, azure)
		for _, c := range []struct{ topic, key, value string }{
			{"compacted", "cleanup.policy", "compact"}, {"short", "retention.ms", "3600000"}, {"small", "retention.bytes", "1048576"},
		} {
			if _, err := operator.CreateTopic(t.Context(), 1, 1, map[string]*string{"retention.ms": kadm.StringPtr("-1"), c.key: &c.value}, c.topic); err != nil {
				t.Fatal(err)
			}
			if _, err := l.Provide(t.Context(), 1, c.topic); err == nil || !strings.Contains(err.Error(), c.topic+" is there already and has "+c.key+"="+c.value) {
				t.Errorf("%s: %v", c.topic, err)
			}
		}
		if _, err := l.Provide(t.Context(), 2, "compacted"); err == nil || !strings.Contains(err.Error(), "has 1 partitions, not 2") {
			t.Errorf("%v", err)
		}
	})
}

// connect logs in on one connection, which serves.
func connect(t *testing.T, c kafkalog.Config) *kafka.Conn {
	t.Helper()
	d := kafka.Dialer{TLS: c.TLS, SASLMechanism: plain.Mechanism{Username: c.User, Password: c.Password}}
	conn, err := d.DialContext(t.Context(), "tcp", c.Bootstrap[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Brokers(); err != nil {
		t.Fatal(err)
	}
	return conn
}

// numbered reads logtest.Records in order, each once.
func numbered(ctx context.Context, c eventlog.Cursor, n int) error {
	want := logtest.Records(0, n)
	for at := 0; at < n; {
		rs, err := c.Next(ctx)
		if err != nil {
			return fmt.Errorf("after %d of %d records: %w", at, n, err)
		}
		for _, r := range rs {
			if r.Offset != int64(at) || !bytes.Equal(r.Value, want[at].Value) {
				return fmt.Errorf("offset %d holds %q, want record %d", r.Offset, r.Value, at)
			}
			at++
		}
	}
	return nil
}

// operate administers a cluster by its plain listener.
func operate(t *testing.T, bootstrap []string) *kadm.Client {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return kadm.NewClient(client)
}

// scram gives a user a password for SCRAM-SHA-512.
func scram(t *testing.T, operator *kadm.Client, user, password string) {
	t.Helper()
	altered, err := operator.AlterUserSCRAMs(t.Context(), nil, []kadm.UpsertSCRAM{{User: user, Mechanism: kadm.ScramSha512, Iterations: 4096, Password: password}})
	if err == nil {
		err = altered.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// allow lets a user do things to the topics with a prefix.
func allow(t *testing.T, operator *kadm.Client, user, prefix string, operations ...kadm.ACLOperation) {
	t.Helper()
	made, err := operator.CreateACLs(t.Context(), kadm.NewACLs().Topics(prefix).ResourcePatternType(kadm.ACLPatternPrefixed).Allow("User:"+user).AllowHosts("*").Operations(operations...))
	if err != nil {
		t.Fatal(err)
	}
	if i := slices.IndexFunc(made, func(r kadm.CreateACLsResult) bool { return r.Err != nil }); i >= 0 {
		t.Fatal(made[i].Err)
	}
}

// eventually waits for what a cluster has been told and spreads.
func eventually(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it never came about")
		}
	}
}
