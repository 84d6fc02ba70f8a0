package eventlog_test

import (
	"math"
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kgo"

	"archbench/common/eventlog"
)

// The hashes that Kafka's own UtilsTest expects of murmur2, as Java prints them.
func TestPartitionOfKafkasOwnVectors(t *testing.T) {
	for key, hash := range map[string]int32{
		"21":                         -973932308,
		"foobar":                     -790332482,
		"a-little-bit-long-string":   -985981536,
		"a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		positive := int(hash & math.MaxInt32)
		for _, n := range []int{1, 2, 3, 4, 7, 16, math.MaxInt32} { // the last one shows nearly the whole hash
			if got := eventlog.Partition([]byte(key), n); got != positive%n {
				t.Errorf("key %q of %d: partition %d, the Java client says %d", key, n, got, positive%n)
			}
		}
	}
}

// The two clients in the module implement the Java client's partitioner too.
func TestPartitionAgreesWithOtherClients(t *testing.T) {
	keys := []string{"", "1", "12", "123", "1234", "17850", "guest:536365", "guest:C536379", "ein längerer Schlüssel"}
	for _, n := range []int{1, 2, 3, 4, 7, 16} {
		var partitions []int
		for p := range n {
			partitions = append(partitions, p)
		}
		sticky := kgo.StickyKeyPartitioner(nil).ForTopic("t")
		for _, k := range keys {
			got := eventlog.Partition([]byte(k), n)
			if want := (kafka.Murmur2Balancer{Consistent: true}).Balance(kafka.Message{Key: []byte(k)}, partitions...); got != want {
				t.Errorf("key %q of %d: partition %d, kafka-go says %d", k, n, got, want)
			}
			if want := sticky.Partition(&kgo.Record{Key: []byte(k)}, n); got != want {
				t.Errorf("key %q of %d: partition %d, franz-go says %d", k, n, got, want)
			}
		}
	}
}

func BenchmarkPartition(b *testing.B) {
	key := []byte("guest:536365")
	b.ReportAllocs()
	for b.Loop() {
		eventlog.Partition(key, 4)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
