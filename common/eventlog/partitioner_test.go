package eventlog_test

import (
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kgo"

	"archbench/common/eventlog"
)

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
