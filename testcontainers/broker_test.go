package broker_test

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"archbench/common/eventlog"
	"archbench/common/eventlog/kafkalog"
	"archbench/common/eventlog/kafkalog/kafkalogtest"
	"archbench/common/eventlog/logtest"
	broker "archbench/testcontainers"
	"archbench/testcontainers/brokertest"
)

// The test binary is also the embedded broker's process.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "serve-embedded" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		if err := broker.ServeEmbedded(ctx, os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func embedded() []string { return []string{os.Args[0], "serve-embedded"} }

func open(t *testing.T, bootstrap []string) *kafkalog.Log {
	t.Helper()
	l, err := kafkalog.Open(t.Context(), kafkalog.Config{Bootstrap: bootstrap})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func start(t *testing.T, o broker.Options) broker.Broker {
	t.Helper()
	b, err := broker.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func TestLogOnEmbedded(t *testing.T) {
	b := start(t, broker.Options{Kind: broker.Embedded, Embedded: embedded(), Dir: t.TempDir()})
	if b.Info().Real() {
		t.Error("an embedded broker passes for Kafka")
	}
	kafkalogtest.Run(t, b.Bootstrap())
}

func TestLogOnKafka(t *testing.T) {
	kafkalogtest.Run(t, brokertest.Bootstrap(t))
}

// A killed broker comes back with its data, and a cursor and a writer go on by
// themselves.
func TestKillAndRestart(t *testing.T) {
	for name, start := range map[string]func(t *testing.T) broker.Broker{
		"embedded": func(t *testing.T) broker.Broker {
			return start(t, broker.Options{Kind: broker.Embedded, Embedded: embedded(), Dir: t.TempDir()})
		},
		"kafka": func(t *testing.T) broker.Broker { return brokertest.Start(t) },
	} {
		t.Run(name, func(t *testing.T) { killAndRestart(t, start(t)) })
	}
}

func killAndRestart(t *testing.T, b broker.Broker) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	l := open(t, b.Bootstrap())
	if err := l.Create(ctx, 1, "t"); err != nil {
		t.Fatal(err)
	}
	put := func(v string) error {
		return l.Append(ctx, "t", eventlog.Record{Key: []byte("k"), Value: []byte(v)})
	}
	if err := put("before"); err != nil {
		t.Fatal(err)
	}
	c, err := l.Open(ctx, "t", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if rs, err := c.Next(ctx); err != nil || len(rs) != 1 {
		t.Fatalf("%d records, %v", len(rs), err)
	}
	if err := b.Kill(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := kafkalog.Open(ctx, kafkalog.Config{Bootstrap: b.Bootstrap()}); err == nil || !strings.Contains(err.Error(), "no Kafka broker answers") {
		t.Fatalf("after the kill: %v", err)
	}
	written := make(chan error, 1)
	go func() { written <- put("after") }()
	if err := b.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	rs, err := c.Next(ctx)
	if err != nil || string(rs[0].Value) != "after" || rs[0].Offset != 1 {
		t.Fatalf("%v %v", rs, err)
	}
}

func TestRefusals(t *testing.T) {
	t.Run("no docker", func(t *testing.T) {
		t.Setenv("DOCKER_HOST", "unix:///nonexistent")
		_, err := broker.Start(t.Context(), broker.Options{Kind: broker.Container})
		if err == nil || !strings.Contains(err.Error(), "no Docker daemon answers at unix:///nonexistent") {
			t.Errorf("container: %v", err)
		}
		t.Setenv("ARCHBENCH_KAFKA_HOME", t.TempDir())
		b := start(t, broker.Options{Kind: broker.Auto, Embedded: embedded(), Dir: t.TempDir()})
		i := b.Info()
		if i.Kind != broker.Embedded || len(i.Because) != 2 || !strings.Contains(i.Because[0], "no Docker daemon") || !strings.Contains(i.Because[1], "make kafka-jars") {
			t.Errorf("auto: %+v", i)
		}
	})
	for _, c := range []struct {
		o    broker.Options
		says string
	}{
		{broker.Options{Kind: "zookeeper"}, "unknown kind of broker"},
		{broker.Options{Kind: broker.External}, "needs --bootstrap"},
		{broker.Options{Kind: broker.External, Bootstrap: []string{"127.0.0.1:1"}}, "no Kafka broker answered at 127.0.0.1:1"},
	} {
		if _, err := broker.Start(t.Context(), c.o); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v, want a sentence with %q", c.o, err, c.says)
		}
	}
}

func BenchmarkLogOnKafka(b *testing.B) {
	logtest.Bench(b, brokertest.Log(b))
}
