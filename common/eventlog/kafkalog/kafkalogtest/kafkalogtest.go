package kafkalogtest

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"archbench/common/eventlog"
	"archbench/common/eventlog/kafkalog"
	"archbench/common/eventlog/logtest"
)

// Run runs all cases on the cluster at the given addresses.
func Run(t *testing.T, bootstrap []string) {
	logtest.Run(t, func(t *testing.T) logtest.Backend { return Open(t, bootstrap) })
	for name, codec := range map[string]kgo.CompressionCodec{
		"plain": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	} {
		t.Run("batches of another producer, "+name, func(t *testing.T) { otherProducer(t, bootstrap, codec) })
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

func records(in []eventlog.Record) []*kgo.Record {
	var out []*kgo.Record
	for _, r := range in {
		out = append(out, &kgo.Record{Key: r.Key, Value: r.Value, Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("v")}}})
	}
	return out
}
