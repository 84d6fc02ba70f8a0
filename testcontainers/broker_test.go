package broker_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
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

// The test binary is also the embedded broker's process, and one that starts a
// broker and is killed over it.
func TestMain(m *testing.M) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	var err error
	switch {
	case len(os.Args) == 4 && os.Args[1] == "serve-embedded":
		err = broker.ServeEmbedded(ctx, os.Args[2], os.Args[3])
	case len(os.Args) == 4 && os.Args[1] == "start-and-wait":
		var b broker.Broker
		if b, err = broker.Start(ctx, broker.Options{Kind: os.Args[2], Dir: os.Args[3], Embedded: embedded()}); err == nil {
			fmt.Println(b.Bootstrap()[0])
			<-ctx.Done()
			err = b.Close()
		}
	default:
		os.Exit(m.Run())
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
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

// startOr starts a broker, or skips where real Kafka is not to be had; whether it
// may be missing is for brokertest to say.
func startOr(t *testing.T, o broker.Options) broker.Broker {
	t.Helper()
	if o.Kind == broker.Embedded {
		return start(t, o)
	}
	b, err := broker.Start(t.Context(), o)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// A killed broker comes back with its data, and a cursor and a writer go on by
// themselves.
func TestKillAndRestart(t *testing.T) {
	for _, kind := range []string{broker.Container, broker.Local, broker.Embedded} {
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			b := startOr(t, broker.Options{Kind: kind, Embedded: embedded(), Dir: dir})
			killAndRestart(t, b)
			if err := b.Close(); err != nil {
				t.Error(err)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

// What a process that was killed left behind goes when the next broker starts;
// what belongs to a living one stays. (A local broker's is as an embedded one's.)
func TestSweep(t *testing.T) {
	for _, kind := range []string{broker.Container, broker.Embedded} {
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			living := startOr(t, broker.Options{Kind: kind, Embedded: embedded(), Dir: dir})
			killed, address := startAndWait(t, kind, dir)
			if err := killed.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = killed.Wait() // it says that it was killed
			next := start(t, broker.Options{Kind: kind, Embedded: embedded(), Dir: dir})
			if conn, err := net.DialTimeout("tcp", address, time.Second); err == nil {
				conn.Close()
				t.Errorf("the broker at %s outlived its owner", address)
			}
			for _, b := range []broker.Broker{living, next} {
				if _, err := open(t, b.Bootstrap()).Partitions(t.Context(), "none"); !errors.Is(err, eventlog.ErrUnknownTopic) {
					t.Errorf("the broker at %v: %v", b.Bootstrap(), err)
				}
			}
			if kind != broker.Container {
				if dirs, err := filepath.Glob(filepath.Join(dir, "archbench-broker-*")); err != nil || len(dirs) != 2 {
					t.Errorf("directories %v, %v; want those of the two that live", dirs, err)
				}
			}
		})
	}
}

// startAndWait has another process start a broker and returns its address.
func startAndWait(t *testing.T, kind, dir string) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "start-and-wait", kind, dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("%v, %v", err, cmd.Wait())
	}
	return cmd, strings.TrimSpace(line)
}

func killAndRestart(t *testing.T, b broker.Broker) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	l := open(t, b.Bootstrap())
	topic := logtest.Topic(t, l, 1)
	put := func(v string) error {
		return l.Append(ctx, topic, eventlog.Record{Key: []byte("k"), Value: []byte(v)})
	}
	if err := put("before"); err != nil {
		t.Fatal(err)
	}
	c, err := l.Open(ctx, topic, 0, 0)
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
	if r, err := l.Fetch(ctx, topic, 0, 0); err != nil || string(r.Value) != "before" {
		t.Fatalf("after the restart: %q, %v", r.Value, err)
	}
}

// Ports lie below those of outgoing connections.
func TestPortIsNotOneOfThoseGivenOut(t *testing.T) {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		t.Skip(err)
	}
	var first, last int
	if _, err := fmt.Sscan(string(text), &first, &last); err != nil {
		t.Fatal(err)
	}
	b := start(t, broker.Options{Kind: broker.Embedded, Embedded: embedded(), Dir: t.TempDir()})
	_, port, err := net.SplitHostPort(b.Bootstrap()[0])
	if err != nil {
		t.Fatal(err)
	}
	if n, err := strconv.Atoi(port); err != nil || n >= first {
		t.Errorf("port %s, and the kernel gives out those from %d", port, first)
	}
}

// stub puts an executable script first in the search path.
func stub(t *testing.T, name, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

// A broker that cannot start says why, in its own words.
func TestBrokersThatDoNotStart(t *testing.T) {
	home := t.TempDir()
	if err := os.MkdirAll(filepath.Join(home, "libs"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "libs", "kafka_2.13-4.0.0.jar"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ARCHBENCH_KAFKA_HOME", home)
	for _, c := range []struct{ name, java, says string }{
		{"old Java", `echo 'openjdk version "11.0.2"' >&2`, "has version 11, Kafka needs 17 or later"},
		{"ancient Java", `echo 'java version "1.8.0_402"' >&2`, "has version 8, Kafka needs 17 or later"},
		{"no jars worth the name", `case $1 in -version) echo 'openjdk version "21" 2023-09-19' >&2;; *) echo 'could not find kafka.Kafka' >&2; exit 3;; esac`, "could not find kafka.Kafka"},
	} {
		t.Run(c.name, func(t *testing.T) {
			stub(t, "java", c.java)
			dir := t.TempDir()
			if _, err := broker.Start(t.Context(), broker.Options{Kind: broker.Local, Dir: dir}); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %q", err, c.says)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
	t.Run("embedded", func(t *testing.T) {
		_, err := broker.Start(t.Context(), broker.Options{Kind: broker.Embedded, Dir: t.TempDir(), Embedded: []string{"/bin/sh", "-c", "echo cannot listen >&2; exit 4"}})
		if err == nil || !strings.Contains(err.Error(), "cannot listen") {
			t.Errorf("%v", err)
		}
	})
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
		{broker.Options{Kind: broker.External, Bootstrap: []string{"127.0.0.1:1"}}, "no Kafka broker answers at 127.0.0.1:1"},
	} {
		if _, err := broker.Start(t.Context(), c.o); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v, want a sentence with %q", c.o, err, c.says)
		}
	}
}

func BenchmarkLogOnKafka(b *testing.B) {
	logtest.Bench(b, brokertest.Log(b))
}
