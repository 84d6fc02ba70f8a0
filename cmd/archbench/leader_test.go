package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"archbench/bench/clock"
	"archbench/bench/judge"
	"archbench/bench/ledger"
	"archbench/bench/load"
	"archbench/common/eventlog"
	"archbench/common/eventlog/kafkalog"
	"archbench/common/oracle"
	"archbench/common/view"
	"archbench/testcontainers/brokertest"
	"archbench/workloads/synthetic"
)

// TestLeaderKilledOnKafka kills the leader of a partition of orders, one of three
// nodes, while events flow through all architectures at once. Another node takes
// over, and the killed one comes back. Every event that was sent is in the log,
// and no answer counts one twice.
func TestLeaderKilledOnKafka(t *testing.T) {
	const events, rate = 24_000, 2_000
	cluster := brokertest.Cluster(t, 3)
	bootstrap := strings.Join(cluster.Bootstrap(), ",")
	log, err := kafkalog.Open(t.Context(), kafkalog.Config{Bootstrap: cluster.Bootstrap()})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	topics := eventlog.TopicsOf("leader")
	if err := log.Create(t.Context(), partitions, topics.All()...); err != nil {
		t.Fatal(err)
	}
	var servers []*started
	for name := range pipelines() {
		servers = append(servers, start(t, program(t, nil, "serve", name, "--bootstrap", bootstrap, "--topics", "leader", "--data-dir", filepath.Join(t.TempDir(), name),
			"--policy", "exact", "--trigger", "500ms", "--batch-interval", "2s")))
	}
	params := synthetic.DefaultParams()
	params.Events = events
	source, err := synthetic.New(params)
	if err != nil {
		t.Fatal(err)
	}
	loader := load.New(log, topics, partitions, source, clock.From(time.Now()))
	sent := make(chan error, 1)
	go func() {
		_, err := loader.Live(t.Context(), time.Now(), rate, events)
		sent <- err
	}()

	killed := leaderOf(t, cluster.Bootstrap(), topics.Orders)
	coveredAtLeast(t, servers[0].address, events/5)
	if err := cluster.Nodes[killed-1].Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := loader.Count(); n >= events*9/10 {
		t.Fatalf("the leader was killed after %d of %d events: too late to matter", n, events)
	}
	took := time.Now()
	next := leaderOf(t, cluster.Bootstrap(), topics.Orders)
	for ; next == killed; next = leaderOf(t, cluster.Bootstrap(), topics.Orders) {
		if time.Since(took) > time.Minute {
			t.Fatal("no other node became the leader")
		}
	}
	if err := cluster.Nodes[killed-1].Restart(t.Context()); err != nil {
		t.Fatal(err)
	}

	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	history := oracle.NewHistory(partitions)
	book, err := ledger.Read(t.Context(), log, topics, loader.Sent(), history)
	if err != nil {
		t.Fatal(err) // an event is not in the log, or in the wrong place
	}
	t.Logf("node %d was killed, node %d took over; %d events sent, %d of them written twice", killed, next, loader.Count(), book.Repeated)
	for _, s := range servers {
		coveredAtLeast(t, s.address, book.End().Sum())
		holdAgainst(t, s.address, judge.Judge{History: history, Params: view.DefaultParams()})
		if code := s.stop(t); code != exitDone {
			t.Errorf("exit %d: %s", code, s.stderr)
		}
	}
}

// leaderOf is the number of the node that leads partition 0 of a topic.
func leaderOf(t *testing.T, bootstrap []string, topic string) int {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	details, err := kadm.NewClient(client).ListTopics(t.Context(), topic)
	if err == nil {
		err = details[topic].Err
	}
	if err != nil {
		t.Fatal(err)
	}
	return int(details[topic].Partitions[0].Leader)
}
