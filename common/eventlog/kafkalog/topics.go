package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"archbench/common/eventlog"
)

// settings are those of every topic: records stay as long as they may be needed.
func (c Config) settings() map[string]string {
	retention := "-1"
	if c.Retention > 0 {
		retention = strconv.FormatInt(c.Retention.Milliseconds(), 10)
	}
	return map[string]string{"cleanup.policy": "delete", "retention.ms": retention, "retention.bytes": "-1"}
}

// Create implements eventlog.Admin. What was made before it failed is removed again.
func (l *Log) Create(ctx context.Context, partitions int, topics ...string) error {
	settings := map[string]*string{}
	for key, value := range l.config.settings() {
		settings[key] = &value
	}
	answers, err := l.admin.CreateTopics(ctx, int32(partitions), -1, settings, topics...)
	if err != nil {
		return l.orClosed(fmt.Errorf("create topics: %w", err))
	}
	var made, denied []string
	var errs []error
	for _, a := range answers.Sorted() {
		switch {
		case a.Err == nil:
			made = append(made, a.Topic)
		case isDenied(a.Err):
			denied = append(denied, a.Topic)
		case errors.Is(a.Err, kerr.TopicAlreadyExists):
			errs = append(errs, fmt.Errorf("create topic %s: %w", a.Topic, eventlog.ErrTopicExists))
		case errors.Is(a.Err, kerr.InvalidConfig), errors.Is(a.Err, kerr.PolicyViolation), errors.Is(a.Err, kerr.InvalidPartitions):
			errs = append(errs, fmt.Errorf("the cluster does not make topic %s %s (%w %s): change that with partitions and kafka.retention, or create the topic yourself",
				a.Topic, l.config.shape(partitions), a.Err, a.ErrMessage))
		default:
			errs = append(errs, fmt.Errorf("create topic %s: %w %s", a.Topic, a.Err, a.ErrMessage))
		}
	}
	if len(denied) > 0 {
		errs = append(errs, fmt.Errorf("%w: %s may not CREATE the topics that are not there: %s; create each of them %s, or allow CREATE by an ACL",
			eventlog.ErrDenied, l.config.who(), strings.Join(denied, ", "), l.config.shape(partitions)))
	}
	if len(errs) == 0 {
		return l.awaitLeaders(ctx, partitions, topics)
	}
	if len(made) > 0 {
		errs = append(errs, l.Delete(ctx, made...))
	}
	return errors.Join(errs...)
}

// shape says how a topic has to be, for whoever creates it.
func (c Config) shape(partitions int) string {
	s := fmt.Sprintf("with %d partitions", partitions)
	settings := c.settings()
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		s += fmt.Sprintf(", %s=%s", key, settings[key])
	}
	return s
}

// Provide sees to it that a measurement finds its topics: those that are not
// there are created and returned, the others must be empty and as Create makes
// them.
func (l *Log) Provide(ctx context.Context, partitions int, topics ...string) (created []string, err error) {
	var missing, hidden []string
	for _, t := range topics {
		_, d, failed := l.describe(ctx, t)
		switch {
		case failed == nil:
			err = errors.Join(err, l.usable(ctx, partitions, d))
		case errors.Is(failed, eventlog.ErrUnknownTopic):
			missing = append(missing, t)
		case errors.Is(failed, eventlog.ErrDenied):
			hidden = append(hidden, t)
		default:
			return nil, failed
		}
	}
	if len(hidden) > 0 {
		err = errors.Join(err, fmt.Errorf("%w: %s may not DESCRIBE the topics %s; where they are not there, create each of them %s, and allow DESCRIBE, DESCRIBE_CONFIGS, READ and WRITE by ACLs",
			eventlog.ErrDenied, l.config.who(), strings.Join(hidden, ", "), l.config.shape(partitions)))
	}
	if err == nil && len(missing) > 0 {
		err = l.Create(ctx, partitions, missing...)
	}
	if err != nil {
		return nil, err
	}
	return missing, nil
}

// usable says what stands against a topic that is there already.
func (l *Log) usable(ctx context.Context, partitions int, t kadm.TopicDetail) error {
	if n := len(t.Partitions); n != partitions {
		return fmt.Errorf("topic %s is there already and has %d partitions, not %d: set partitions=%d, or delete it", t.Topic, n, partitions, n)
	}
	return errors.Join(l.suits(ctx, t.Topic), l.empty(ctx, t.Topic, partitions))
}

// suits checks the settings of a topic that is there already.
func (l *Log) suits(ctx context.Context, topic string) error {
	all, err := l.admin.DescribeTopicConfigs(ctx, topic)
	var r kadm.ResourceConfig
	if err == nil {
		r, err = all.On(topic, nil)
	}
	if err = errors.Join(err, r.Err); err != nil {
		return l.orClosed(fmt.Errorf("look at the settings of topic %s: %w", topic, l.config.denial(err, "DESCRIBE_CONFIGS", topic)))
	}
	var errs []error
	for _, setting := range r.Configs {
		if complaint := l.config.complaint(setting.Key, setting.MaybeValue()); complaint != "" {
			errs = append(errs, fmt.Errorf("topic %s is there already and has %s=%s, %s", topic, setting.Key, setting.MaybeValue(), complaint))
		}
	}
	return errors.Join(errs...)
}

// complaint says what is wrong with a setting of a topic and how to better it; empty if nothing is.
func (c Config) complaint(key, value string) string {
	want, matters := c.settings()[key]
	if !matters || value == want {
		return ""
	}
	if key == "cleanup.policy" {
		return "which removes what a replay needs: set it to delete"
	}
	if n, err := strconv.ParseInt(value, 10, 64); err == nil && (n < 0 || c.Retention > 0 && key == "retention.ms" && n >= c.Retention.Milliseconds()) {
		return ""
	}
	if ms, err := strconv.ParseInt(value, 10, 64); err == nil && key == "retention.ms" {
		return fmt.Sprintf("so it keeps records for %v only: set it to %s, or accept that with kafka.retention", time.Duration(ms)*time.Millisecond, want)
	}
	return "so it does not keep all records: set it to " + want
}

// empty checks that nothing was ever written to a topic that is there already:
// the measurement's events are told by their offsets.
func (l *Log) empty(ctx context.Context, topic string, partitions int) error {
	for p := range partitions {
		_, end, err := l.Bounds(ctx, topic, p)
		if err != nil {
			return err
		}
		if end > 0 {
			return fmt.Errorf("topic %s is there already and is not new, its partition %d ends at offset %d: name another topic set, or delete it", topic, p, end)
		}
	}
	return nil
}
