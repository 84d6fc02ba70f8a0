package kafkalog_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"archbench/common/eventlog"
	"archbench/common/eventlog/kafkalog"
	"archbench/common/eventlog/kafkalog/kafkalogtest"
	"archbench/common/eventlog/logtest"
)

// administration is for what an operator does behind the log's back.
func administration(t *testing.T, c *kfake.Cluster) *kadm.Client {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return kadm.NewClient(client)
}

func TestProvide(t *testing.T) {
	c := cluster(t, 1)
	operator := administration(t, c)
	create := func(name string, partitions int32, settings map[string]string) {
		values := map[string]*string{"retention.ms": kadm.StringPtr("-1")}
		for key, value := range settings {
			values[key] = &value
		}
		if _, err := operator.CreateTopic(t.Context(), partitions, 1, values, name); err != nil {
			t.Fatal(err)
		}
	}
	create("right", 2, nil)
	create("wide", 3, nil)
	create("compacted", 2, map[string]string{"cleanup.policy": "compact"})
	create("both", 2, map[string]string{"cleanup.policy": "compact,delete"})
	create("short", 2, map[string]string{"retention.ms": "86400000"})
	create("small", 2, map[string]string{"retention.bytes": "1000000"})
	create("used", 2, nil)
	forEver := kafkalogtest.Open(t, c.ListenAddrs())
	forAnHour := kafkalogtest.OpenWith(t, kafkalog.Config{Bootstrap: c.ListenAddrs(), Retention: time.Hour})
	forAWeek := kafkalogtest.OpenWith(t, kafkalog.Config{Bootstrap: c.ListenAddrs(), Retention: 7 * 24 * time.Hour})
	if err := forEver.Append(t.Context(), "used", logtest.Records(0, 1)...); err != nil {
		t.Fatal(err)
	}

	for _, r := range []struct {
		log   *kafkalog.Log
		topic string
		says  []string
	}{
		{forEver, "wide", []string{"has 3 partitions, not 2", "partitions=3"}},
		{forEver, "compacted", []string{"cleanup.policy=compact", "removes what a replay needs", "set it to delete"}},
		{forEver, "both", []string{"cleanup.policy=compact,delete"}},
		{forEver, "short", []string{"retention.ms=86400000", "for 24h0m0s only", "set it to -1", "kafka.retention"}},
		{forAWeek, "short", []string{"retention.ms=86400000", "set it to 604800000"}},
		{forEver, "small", []string{"retention.bytes=1000000", "set it to -1"}},
		{forEver, "used", []string{"is not new", "ends at offset 1"}},
	} {
		created, err := r.log.Provide(t.Context(), 2, "new", r.topic)
		if err == nil {
			t.Fatalf("%s is provided", r.topic)
		}
		for _, part := range append(r.says, "topic "+r.topic) {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%v lacks %q", err, part)
			}
		}
		if c.TopicInfo("new") != nil || len(created) > 0 {
			t.Fatalf("although %s was refused, %v was created", r.topic, created)
		}
	}
	if _, err := forEver.Provide(t.Context(), 2, "compacted", "wide"); err == nil || !strings.Contains(err.Error(), "compact") || !strings.Contains(err.Error(), "wide") {
		t.Errorf("two that are wrong: %v", err)
	}

	if created, err := forEver.Provide(t.Context(), 2, "new", "right"); err != nil || !slices.Equal(created, []string{"new"}) {
		t.Errorf("created %v, %v", created, err)
	}
	if created, err := forEver.Provide(t.Context(), 2, "new", "right"); err != nil || len(created) > 0 {
		t.Errorf("both are there: created %v, %v", created, err)
	}
	if _, err := forAnHour.Provide(t.Context(), 2, "short", "brief"); err != nil {
		t.Errorf("a day where an hour is enough: %v", err)
	}
	if got := c.TopicInfo("brief").Configs["retention.ms"]; got == nil || *got != "3600000" {
		t.Errorf("retention.ms is %v, want an hour", got)
	}
}

// Topics that may not be created, or not even be seen: the sentence names all of
// them and how they have to be, and nothing is left half done.
func TestProvideDenied(t *testing.T) {
	on := func(name string, o kmsg.ACLOperation) kfake.ACL {
		return kfake.ACL{Resource: kmsg.ACLResourceTypeTopic, Name: name, Pattern: kmsg.ACLResourcePatternTypePrefixed, Operation: o, Allow: true}
	}
	c := cluster(t, 1, kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "admin", "secret"), kfake.SeedTopics(2, "b.unlimited"),
		kfake.User("PLAIN", "user", "secret", on("b.", kmsg.ACLOperationRead), on("b.", kmsg.ACLOperationWrite), on("b.mine", kmsg.ACLOperationCreate), on("b.mine", kmsg.ACLOperationDelete)))
	l := kafkalogtest.OpenWith(t, kafkalog.Config{Bootstrap: c.ListenAddrs(), Mechanism: "PLAIN", User: "user", Password: "secret"})
	for _, d := range []struct {
		topics, says []string
	}{
		{[]string{"b.orders", "b.customers", "b.mine"}, []string{`user "user" may not CREATE`, "b.customers, b.orders", "with 2 partitions, cleanup.policy=delete, retention.bytes=-1, retention.ms=-1"}},
		{[]string{"c.orders", "b.mine"}, []string{`user "user" may not DESCRIBE the topics c.orders`, "with 2 partitions", "READ and WRITE"}},
		{[]string{"b.unlimited", "b.mine"}, []string{`user "user" may not DESCRIBE_CONFIGS topic b.unlimited`}},
	} {
		_, err := l.Provide(t.Context(), 2, d.topics...)
		if !errors.Is(err, eventlog.ErrDenied) {
			t.Fatalf("%q: %v", d.topics, err)
		}
		for _, part := range d.says {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%v lacks %q", err, part)
			}
		}
		if c.TopicInfo("b.mine") != nil {
			t.Errorf("%q: what could be created was left", d.topics)
		}
	}
	if created, err := l.Provide(t.Context(), 2, "b.mine"); err != nil || len(created) != 1 {
		t.Errorf("created %v, %v", created, err)
	}
}
