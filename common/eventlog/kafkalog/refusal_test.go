package kafkalog_test

import (
	"crypto/tls"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"archbench/common/eventlog"
	"archbench/common/eventlog/kafkalog"
	"archbench/common/eventlog/kafkalog/kafkalogtest"
	"archbench/common/eventlog/logtest"
)

// A broker that is there and is addressed in a way that it does not take: the
// sentence says which setting is wrong, soon, and never the password.
func TestConnectionsThatAreRefused(t *testing.T) {
	authority := kafkalogtest.NewAuthority(t)
	guarded := cluster(t, 1, kfake.EnableSASL(), kfake.Superuser("PLAIN", "user", "secret"), kfake.TLS(authority.Server(t))).ListenAddrs()
	trusting := authority.Client()
	elsewhere := trusting.Clone()
	elsewhere.ServerName = "kafka.example"
	for _, c := range []struct {
		name   string
		config kafkalog.Config
		says   []string
	}{
		{"wrong secret", kafkalog.Config{Bootstrap: guarded, TLS: trusting, Mechanism: "PLAIN", User: "user", Password: "sesame"}, []string{`user "user"`, "SASL PLAIN", "check kafka.user and the password"}},
		{"unknown authority", kafkalog.Config{Bootstrap: guarded, TLS: &tls.Config{}, Mechanism: "PLAIN", User: "user", Password: "sesame"}, []string{"an authority that is not trusted", "kafka.ca"}},
		{"another name", kafkalog.Config{Bootstrap: guarded, TLS: elsewhere, Mechanism: "PLAIN", User: "user", Password: "sesame"}, []string{"a certificate for another name", "kafka.example"}},
		{"plaintext to TLS", kafkalog.Config{Bootstrap: guarded, Mechanism: "PLAIN", User: "user", Password: "sesame"}, []string{"speaks TLS", "kafka.tls=true"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			began := time.Now()
			l, err := kafkalog.Open(t.Context(), c.config)
			if err == nil {
				l.Close()
				t.Fatal("it was let in")
			}
			for _, part := range append(c.says, c.config.Bootstrap[0]) {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%v lacks %q", err, part)
				}
			}
			if strings.Contains(err.Error(), "sesame") {
				t.Errorf("the password stands in: %v", err)
			}
			if took := time.Since(began); took > 8*time.Second { // less than the ten that an answer may take
				t.Errorf("it took %v", took)
			}
		})
	}
}

// What is read and written over TLS with SASL is what is read and written.
func TestOverTLS(t *testing.T) {
	authority := kafkalogtest.NewAuthority(t)
	c := cluster(t, 2, kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "user", "secret"), kfake.TLS(authority.Server(t)))
	l := kafkalogtest.OpenWith(t, kafkalog.Config{Bootstrap: c.ListenAddrs(), TLS: authority.Client(), Mechanism: "SCRAM-SHA-512", User: "user", Password: "secret"})
	topic := logtest.Topic(t, l, 1)
	if err := l.Append(t.Context(), topic, logtest.Records(0, 20)...); err != nil {
		t.Fatal(err)
	}
	logtest.EveryOffset(t, l, topic, 20)
	if l.ReceivedBytes() == 0 {
		t.Error("bytes over TLS are not counted")
	}
}

// A broker that takes the connection and says nothing holds up neither reader
// nor writer beyond their contexts, while they wait to be let in.
func TestSilenceOnAuthentication(t *testing.T) {
	c := cluster(t, 1, kfake.EnableSASL(), kfake.Superuser("PLAIN", "user", "secret"))
	l := kafkalogtest.OpenWith(t, kafkalog.Config{Bootstrap: c.ListenAddrs(), Mechanism: "PLAIN", User: "user", Password: "secret"})
	topic := logtest.Topic(t, l, 1)
	silence, asked := make(chan struct{}), make(chan struct{}, 100)
	defer close(silence)
	c.ControlKey(int16(kmsg.SASLHandshake), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		asked <- struct{}{}
		c.SleepControl(func() { <-silence })
		return nil, nil, false
	})
	written := make(chan error, 1)
	go func() { written <- l.Append(t.Context(), topic, logtest.Records(0, 1)...) }()
	<-asked
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	select {
	case err := <-written:
		if !errors.Is(err, eventlog.ErrClosed) {
			t.Errorf("%v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the writer still waits to be let in")
	}
}

// What a cluster does not allow is said with the operation and the topic.
func TestDenials(t *testing.T) {
	on := func(name string, o kmsg.ACLOperation) kfake.ACL {
		return kfake.ACL{Resource: kmsg.ACLResourceTypeTopic, Name: name, Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: o, Allow: true}
	}
	c := cluster(t, 1, kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "admin", "secret"), kfake.SeedTopics(1, "read-only", "write-only", "hidden"),
		kfake.User("PLAIN", "user", "secret", on("read-only", kmsg.ACLOperationRead), on("write-only", kmsg.ACLOperationWrite)))
	as := func(user string) *kafkalog.Log {
		return kafkalogtest.OpenWith(t, kafkalog.Config{Bootstrap: c.ListenAddrs(), Mechanism: "PLAIN", User: user, Password: "secret"})
	}
	if err := as("admin").Append(t.Context(), "write-only", logtest.Records(0, 1)...); err != nil {
		t.Fatal(err)
	}
	l := as("user")
	next := func(topic string) error {
		c, err := l.Open(t.Context(), topic, 0, 0)
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Next(t.Context())
		return err
	}
	for _, d := range []struct {
		operation, topic string
		try              func(topic string) error
	}{
		{"WRITE", "read-only", func(topic string) error { return l.Append(t.Context(), topic, logtest.Records(0, 1)...) }},
		{"READ", "write-only", next},
		{"READ", "write-only", func(topic string) error { _, err := l.Fetch(t.Context(), topic, 0, 0); return err }},
		{"DESCRIBE", "hidden", next},
		{"DESCRIBE", "hidden", func(topic string) error { _, err := l.Partitions(t.Context(), topic); return err }},
		{"DELETE", "read-only", func(topic string) error { return l.Delete(t.Context(), topic) }},
	} {
		err := d.try(d.topic)
		if !errors.Is(err, eventlog.ErrDenied) || !strings.Contains(err.Error(), `user "user" may not `+d.operation+" topic "+d.topic) {
			t.Errorf("%s on %s: %v", d.operation, d.topic, err)
		}
	}
}
