package scenario

import (
	"os"
	"strings"
	"testing"

	"archbench/common/eventlog"
	"archbench/common/eventlog/kafkalog"
	broker "archbench/testcontainers"
)

// Topics that somebody made by their names beforehand are used and stay; those
// that were not there are made and removed. What does not fit is refused before
// anything is measured.
func TestTopicsOfSomebodyElse(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := broker.Start(t.Context(), broker.Options{Kind: broker.Embedded, Dir: t.TempDir(), Embedded: []string{self, "fake-broker"}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	log, err := kafkalog.Open(t.Context(), kafkalog.Config{Bootstrap: b.Bootstrap()})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	plan := func(partitions int) Plan {
		p, _ := testPlan(t, []string{Backfill}, []string{right})
		p.Broker, p.Topics, p.Partitions = broker.Options{Kind: broker.External, Bootstrap: b.Bootstrap()}, "team-1", partitions
		return p
	}
	ours := eventlog.TopicsOf("team-1.backfill-" + right + "-1")
	if err := log.Create(t.Context(), 2, ours.Orders, ours.Customers); err != nil {
		t.Fatal(err)
	}

	if _, err := Run(t.Context(), plan(3)); err == nil || !strings.Contains(err.Error(), ours.Orders+" is there already and has 2 partitions, not 3") {
		t.Fatalf("another number of partitions: %v", err)
	}
	r, err := Run(t.Context(), plan(2))
	if err != nil {
		t.Fatal(err)
	}
	checkRight(t, plan(2), Backfill, find(t, r, Backfill, right))
	for topic, stays := range map[string]bool{ours.Orders: true, ours.Customers: true, ours.DLQ: false, ours.Alerts: false, "team-1.floors.orders": false} {
		if n, err := log.Partitions(t.Context(), topic); stays != (n > 0) {
			t.Errorf("%s has %d partitions (%v); it stays: %v", topic, n, err, stays)
		}
	}
	if _, err := Run(t.Context(), plan(2)); err == nil || !strings.Contains(err.Error(), ours.Orders+" is there already and is not new") {
		t.Errorf("a second run into the same topics: %v", err)
	}

	p := plan(2)
	p.Topics = "our team"
	if err := p.Check(); err == nil || !strings.Contains(err.Error(), "topics must be a prefix") {
		t.Errorf("%v", err)
	}
}
