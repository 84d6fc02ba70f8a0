package alerts

import (
	"context"
	"errors"
	"iter"

	"archbench/common/eventlog"
)

// Written is a record of topic alerts.
type Written struct {
	Alert
	Offset     int64
	Unreadable error // why the record is no alert, which is empty then; nil: it is one
}

// Follow hands on the records of one partition of topic alerts from an offset on, as
// they come, until take says that it wants no more or the context ends. They are parsed
// when take ranges over them, so that it may look at the clock before.
func Follow(ctx context.Context, log eventlog.Log, topic string, partition int, from int64, take func(iter.Seq[Written]) (more bool)) (err error) {
	cursor, err := log.Open(ctx, topic, partition, from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cursor.Close()) }()
	for {
		records, err := cursor.Next(ctx)
		if err != nil {
			return err
		}
		if !take(parsed(records)) {
			return nil
		}
	}
}

func parsed(records []eventlog.Record) iter.Seq[Written] {
	return func(yield func(Written) bool) {
		for _, r := range records {
			a, unreadable := Parse(r.Value)
			if !yield(Written{a, r.Offset, unreadable}) {
				return
			}
		}
	}
}

// Read returns the records of one partition of topic alerts from an offset on, up to
// its present end at least, and the offset that follows them.
func Read(ctx context.Context, log eventlog.Log, topic string, partition int, from int64) (all []Written, next int64, err error) {
	_, end, err := log.Bounds(ctx, topic, partition)
	if err != nil || from >= end {
		return nil, from, err
	}
	next = from
	err = Follow(ctx, log, topic, partition, from, func(some iter.Seq[Written]) bool {
		for w := range some {
			all, next = append(all, w), w.Offset+1
		}
		return next < end
	})
	return all, next, err
}
