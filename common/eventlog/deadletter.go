package eventlog

import (
	"context"
	"fmt"
	"strconv"
)

// DeadLetter copies one record of an input topic, unchanged, to the dead-letter
// queue and says where it came from and why. Its identity is the place; after a
// crash the same record may be written again.
func DeadLetter(ctx context.Context, log Log, t Topics, topic string, partition int, offset int64, reason string) error {
	r, err := log.Fetch(ctx, topic, partition, offset)
	if err != nil {
		return fmt.Errorf("fetch the unusable record %s/%d/%d: %w", topic, partition, offset, err)
	}
	letter := Record{Key: r.Key, Value: r.Value, Headers: append(r.Headers[:len(r.Headers):len(r.Headers)],
		Header{"source-topic", []byte(topic)},
		Header{"source-partition", strconv.AppendInt(nil, int64(partition), 10)},
		Header{"source-offset", strconv.AppendInt(nil, offset, 10)},
		Header{"error", []byte(reason)})}
	if err := log.Append(ctx, t.DLQ, letter); err != nil {
		return fmt.Errorf("write to %s: %w", t.DLQ, err)
	}
	return nil
}
