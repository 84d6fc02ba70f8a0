package brokertest

import (
	"context"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"archbench/common/eventlog/kafkalog"
	broker "archbench/testcontainers"
	"archbench/testcontainers/brokerenv"
)

// Log returns a log on real Kafka: the one that the run shares, else one that is
// started for this test. Without one the test is skipped, or fails where
// ARCHBENCH_REQUIRE holds kafka.
func Log(t testing.TB) *kafkalog.Log {
	t.Helper()
	l, err := kafkalog.Open(t.Context(), kafkalog.Config{Bootstrap: Bootstrap(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// Bootstrap returns the addresses of real Kafka, as Log does.
func Bootstrap(t testing.TB) []string {
	t.Helper()
	if shared := os.Getenv(brokerenv.Bootstrap); shared != "" {
		return strings.Split(shared, ",")
	}
	return Start(t).Bootstrap()
}

// Start starts a real Kafka for this test alone, so that it may be killed.
func Start(t testing.TB) broker.Broker {
	t.Helper()
	return start(t, func(ctx context.Context, kind string) (broker.Broker, error) {
		return broker.Start(ctx, broker.Options{Kind: kind})
	})
}

// Guarded starts a real Kafka that has a guarded listener too.
func Guarded(t testing.TB, g broker.Guard) broker.Broker {
	t.Helper()
	return start(t, func(ctx context.Context, kind string) (broker.Broker, error) {
		return broker.Start(ctx, broker.Options{Kind: kind, Guard: &g})
	})
}

// Cluster starts a real Kafka of n nodes.
func Cluster(t testing.TB, n int) *broker.Cluster {
	t.Helper()
	return start(t, func(ctx context.Context, kind string) (*broker.Cluster, error) {
		return broker.StartCluster(ctx, broker.Options{Kind: kind}, n)
	})
}

// start starts the first kind of real Kafka that is to be had; it ends with the test.
func start[B io.Closer](t testing.TB, kind func(context.Context, string) (B, error)) (b B) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var said []string
	for _, name := range []string{broker.Container, broker.Local} {
		b, err := kind(ctx, name)
		if err == nil {
			t.Cleanup(func() {
				if err := b.Close(); err != nil {
					t.Error(err)
				}
			})
			return b
		}
		said = append(said, name+": "+err.Error())
	}
	why := "real Kafka is not to be had: " + strings.Join(said, "; ")
	if slices.Contains(strings.Split(os.Getenv("ARCHBENCH_REQUIRE"), ","), "kafka") {
		t.Fatal(why)
	}
	t.Skip(why)
	return b
}
