package eventlog

import (
	"context"
	"log/slog"
	"time"
)

// WatchPartitions looks at the number of partitions of both input topics again
// and again, and returns *PartitionsChangedError when it is no longer n, or the
// context's error. A broker that does not answer is no change.
func WatchPartitions(ctx context.Context, log Log, t Topics, n int, every time.Duration, logger *slog.Logger) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		for _, topic := range []string{t.Orders, t.Customers} {
			now, err := log.Partitions(ctx, topic)
			if err != nil {
				if ctx.Err() == nil {
					logger.Warn("cannot look at the number of partitions", "topic", topic, "err", err)
				}
				continue
			}
			if now != n {
				return &PartitionsChangedError{Topic: topic, Was: n, Is: now}
			}
		}
	}
}
