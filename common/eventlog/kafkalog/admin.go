package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"archbench/common/eventlog"
)

// Partitions implements eventlog.Log. It asks the cluster every time.
func (l *Log) Partitions(ctx context.Context, topic string) (int, error) {
	_, d, err := l.describe(ctx, topic)
	return len(d.Partitions), err
}

// describe asks the cluster for the brokers and for one topic.
func (l *Log) describe(ctx context.Context, topic string) (kadm.BrokerDetails, kadm.TopicDetail, error) {
	m, err := l.admin.Metadata(ctx, topic)
	if l.life.Err() != nil { // a cache may have answered
		return nil, kadm.TopicDetail{}, eventlog.ErrClosed
	}
	if err != nil {
		return nil, kadm.TopicDetail{}, fmt.Errorf("metadata of %s: %w", topic, l.config.denial(err, "DESCRIBE", topic))
	}
	d := m.Topics[topic]
	switch {
	case errors.Is(d.Err, kerr.UnknownTopicOrPartition), d.Err == nil && len(d.Partitions) == 0:
		return nil, kadm.TopicDetail{}, fmt.Errorf("topic %s: %w", topic, eventlog.ErrUnknownTopic)
	case d.Err != nil:
		return nil, kadm.TopicDetail{}, fmt.Errorf("metadata of %s: %w", topic, l.config.denial(d.Err, "DESCRIBE", topic))
	}
	return m.Brokers, d, nil
}

// Bounds implements eventlog.Log.
func (l *Log) Bounds(ctx context.Context, topic string, partition int) (start, end int64, err error) {
	find := func(list func(context.Context, ...string) (kadm.ListedOffsets, error)) (int64, error) {
		for began := time.Now(); ; {
			o, err := lookup(ctx, list, topic, partition)
			if err == nil || !kerr.IsRetriable(err) || errors.Is(err, kerr.UnknownTopicOrPartition) || time.Since(began) > giveUpAsking {
				return o, l.orClosed(l.config.denial(err, "DESCRIBE", topic))
			}
			if err := pause(ctx, backoff); err != nil { // a leader that has just moved
				return 0, err
			}
		}
	}
	if start, err = find(l.admin.ListStartOffsets); err != nil {
		return 0, 0, err
	}
	if end, err = find(l.admin.ListEndOffsets); err != nil {
		return 0, 0, err
	}
	return start, end, nil
}

func lookup(ctx context.Context, list func(context.Context, ...string) (kadm.ListedOffsets, error), topic string, partition int) (int64, error) {
	all, err := list(ctx, topic)
	if err != nil {
		return 0, fmt.Errorf("offsets of %s: %w", topic, err)
	}
	o, ok := all.Lookup(topic, int32(partition))
	switch {
	case !ok && len(all[topic]) > 0 && all[topic][-1].Err == nil:
		return 0, &noPartition{place{topic, partition}, len(all[topic])}
	case !ok, errors.Is(o.Err, kerr.UnknownTopicOrPartition):
		return 0, fmt.Errorf("offsets of %s partition %d: %w", topic, partition, eventlog.ErrUnknownTopic)
	case o.Err != nil:
		return 0, fmt.Errorf("offsets of %s partition %d: %w", topic, partition, o.Err)
	}
	return o.Offset, nil
}

// awaitLeaders returns when every partition can be written: a cluster answers
// before it has spread the news.
func (l *Log) awaitLeaders(ctx context.Context, partitions int, topics []string) error {
	for {
		details, err := l.admin.ListTopics(ctx, topics...)
		ready := err == nil
		for _, t := range topics {
			ready = ready && details[t].Err == nil && len(details[t].Partitions) == partitions
			for _, p := range details[t].Partitions {
				ready = ready && p.Err == nil && p.Leader >= 0
			}
		}
		if ready {
			return nil
		}
		if err := l.orClosed(pause(ctx, backoff/10)); err != nil {
			return fmt.Errorf("wait for leaders of %s: %w", strings.Join(topics, ", "), err)
		}
	}
}

// Truncate implements eventlog.Admin.
func (l *Log) Truncate(ctx context.Context, topic string, partition int, offset int64) error {
	var offsets kadm.Offsets
	offsets.AddOffset(topic, int32(partition), offset, -1)
	answers, err := l.admin.DeleteRecords(ctx, offsets)
	if err == nil {
		err = answers.Error()
	}
	if err != nil {
		return l.orClosed(fmt.Errorf("delete the records of %s partition %d below %d: %w", topic, partition, offset, err))
	}
	return nil
}

// AddPartitions implements eventlog.Admin.
func (l *Log) AddPartitions(ctx context.Context, topic string, n int) error {
	answers, err := l.admin.UpdatePartitions(ctx, n, topic)
	if err == nil {
		err = answers.Error()
	}
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return fmt.Errorf("add partitions to %s: %w", topic, eventlog.ErrUnknownTopic)
	case err != nil:
		return l.orClosed(fmt.Errorf("add partitions to %s: %w", topic, err))
	}
	l.forget([]string{topic})
	return l.awaitLeaders(ctx, n, []string{topic})
}

// Delete implements eventlog.Admin.
func (l *Log) Delete(ctx context.Context, topics ...string) error {
	answers, err := l.admin.DeleteTopics(ctx, topics...)
	if err != nil {
		return l.orClosed(fmt.Errorf("delete topics: %w", err))
	}
	l.forget(topics)
	for _, a := range answers.Sorted() {
		if errors.Is(a.Err, kerr.UnknownTopicOrPartition) {
			return fmt.Errorf("delete topic %s: %w", a.Topic, eventlog.ErrUnknownTopic)
		}
		if a.Err != nil {
			return fmt.Errorf("delete topic %s: %w", a.Topic, l.config.denial(a.Err, "DELETE", a.Topic))
		}
	}
	return nil
}
