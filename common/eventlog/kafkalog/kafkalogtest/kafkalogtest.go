package kafkalogtest

import (
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"archbench/common/eventlog"
	"archbench/common/eventlog/kafkalog"
	"archbench/common/eventlog/logtest"
)

// Run runs all cases on the cluster at the given addresses.
func Run(t *testing.T, bootstrap []string) {
	logtest.Run(t, func(t *testing.T) logtest.Backend { return Open(t, bootstrap) })
	theirs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	for number, name := range kafkalog.Compressions() {
		t.Run("batches of another producer, "+name, func(t *testing.T) { otherProducer(t, bootstrap, theirs[name]) })
		t.Run("compressed by "+name, func(t *testing.T) { compressed(t, bootstrap, name, uint8(number)) })
	}
}

// Open opens a log that ends with the test.
func Open(t testing.TB, bootstrap []string) *kafkalog.Log {
	t.Helper()
	return OpenWith(t, kafkalog.Config{Bootstrap: bootstrap})
}

// OpenWith opens a log that ends with the test.
func OpenWith(t testing.TB, c kafkalog.Config) *kafkalog.Log {
	t.Helper()
	l, err := kafkalog.Open(t.Context(), c)
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

// otherProducer writes batches of several sizes with a codec and reads from every
// offset, most of which lie inside a batch.
func otherProducer(t *testing.T, bootstrap []string, codec kgo.CompressionCodec) {
	l := Open(t, bootstrap)
	topic := logtest.Topic(t, l, 1)
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap...), kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(codec))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	n := 0
	for _, size := range []int{1, 7, 1, 20, 3} {
		if err := client.ProduceSync(t.Context(), records(logtest.Records(n, size))...).FirstErr(); err != nil {
			t.Fatal(err)
		}
		n += size
	}
	logtest.EveryOffset(t, l, topic, n)
}

// compressed writes with a codec and reads from every offset. The batches must
// carry the codec's number of the protocol, and take less on the wire than the
// values.
func compressed(t *testing.T, bootstrap []string, name string, number uint8) {
	l := OpenWith(t, kafkalog.Config{Bootstrap: bootstrap, Compression: name})
	topic := logtest.Topic(t, l, 1)
	n := 0
	for _, size := range []int{1, 7, 20, 3} {
		if err := l.Append(t.Context(), topic, logtest.Records(n, size)...); err != nil {
			t.Fatal(err)
		}
		n += size
	}
	logtest.EveryOffset(t, l, topic, n)
	carry(t, bootstrap, topic, n, number)

	const records, bytes = 60, 10_000
	repeated := eventlog.Record{Key: []byte("k"), Value: []byte(strings.Repeat("0123456789", bytes/10))}
	topic = logtest.Topic(t, l, 1)
	if err := l.Append(t.Context(), topic, slices.Repeat([]eventlog.Record{repeated}, records)...); err != nil {
		t.Fatal(err)
	}
	reader := Open(t, bootstrap)
	c, err := reader.Open(t.Context(), topic, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for read := 0; read < records; {
		rs, err := c.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rs {
			if string(r.Value) != string(repeated.Value) {
				t.Fatalf("offset %d holds %d other bytes", r.Offset, len(r.Value))
			}
		}
		read += len(rs)
	}
	got := reader.ReceivedBytes()
	if plain := number == 0; plain && got < records*bytes || !plain && got > records*bytes/5 {
		t.Errorf("%d bytes on the wire for values of %d", got, records*bytes)
	}
}

// carry checks the codec of n records, as another client sees it.
func carry(t *testing.T, bootstrap []string, topic string, n int, number uint8) {
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for read := 0; read < n; {
		fetches := client.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			read++
			if got := r.Attrs.CompressionType(); got != number {
				t.Errorf("offset %d is compressed by codec %d, want %d", r.Offset, got, number)
			}
		})
	}
}

func records(in []eventlog.Record) []*kgo.Record {
	var out []*kgo.Record
	for _, r := range in {
		out = append(out, &kgo.Record{Key: r.Key, Value: r.Value, Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("v")}}})
	}
	return out
}
