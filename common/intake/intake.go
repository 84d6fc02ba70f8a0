package intake

import (
	"context"
	"errors"

	"archbench/common/event"
	"archbench/common/eventlog"
	"archbench/common/fault"
)

// Crash points that every architecture passes around a dead letter.
const (
	BeforeDeadLetter = "before-dead-letter"
	AfterDeadLetter  = "after-dead-letter"
)

// Source says where to read and what to do beside.
type Source struct {
	Log       eventlog.Log
	Topics    eventlog.Topics
	Partition int
	Faults    *fault.Set
	// OrderLetters and CustomerLetters are shared with others that read the same
	// partition, so that each unusable record gets one letter; nil: there are none.
	OrderLetters, CustomerLetters *Letters
	// Watermarks is told of the lines that were read; nil: nobody is.
	Watermarks *Watermarks
	// Chunk bounds the records of one batch, so that a replay leaves room for others; 0: as they come.
	Chunk int
	// Turn is waited for before each batch is decoded and handed on, and given back by
	// done, so that those who read beside others work one after another; nil: at once.
	Turn func(ctx context.Context) (done func(), err error)
}

// Orders is decoded records of one partition of orders, contiguous up to Next.
type Orders struct {
	Records []OrderRecord
	Next    int64 // the next offset not in this batch or before it
}

// OrderRecord is one record of orders.
type OrderRecord struct {
	Offset   int64
	Line     event.OrderLine // zero if unusable
	Unusable string          // why it is unusable; empty if it is usable
	// Value is the record as received, valid until the batch was handed on.
	Value []byte
}

// Customers is decoded records of one partition of customers, contiguous up to Next.
type Customers struct {
	Records []CustomerRecord
	Next    int64
}

// CustomerRecord is one record of customers.
type CustomerRecord struct {
	Offset   int64
	Change   event.ProfileChange
	Unusable string
	Value    []byte
}

// FollowOrders reads orders from an offset on and hands each batch to take,
// until the context ends or something fails.
func (s Source) FollowOrders(ctx context.Context, from int64, take func(Orders) error) error {
	d := event.NewDecoder()
	var batch Orders
	return s.follow(ctx, s.Topics.Orders, from, func(records []eventlog.Record) error {
		batch.Records = batch.Records[:0]
		for i := range records {
			r := &records[i]
			batch.Records = append(batch.Records, OrderRecord{Offset: r.Offset, Value: r.Value})
			in := &batch.Records[len(batch.Records)-1]
			var err error
			if in.Unusable, err = s.verdict(ctx, s.Topics.Orders, s.OrderLetters, r, d.Order(r.Value, &in.Line)); err != nil {
				return err
			}
		}
		batch.Next = records[len(records)-1].Offset + 1
		s.Watermarks.saw(s.Partition, batch.Records)
		return take(batch)
	})
}

// FollowCustomers reads customers likewise.
func (s Source) FollowCustomers(ctx context.Context, from int64, take func(Customers) error) error {
	d := event.NewDecoder()
	var batch Customers
	return s.follow(ctx, s.Topics.Customers, from, func(records []eventlog.Record) error {
		batch.Records = batch.Records[:0]
		for i := range records {
			r := &records[i]
			batch.Records = append(batch.Records, CustomerRecord{Offset: r.Offset, Value: r.Value})
			in := &batch.Records[len(batch.Records)-1]
			var err error
			if in.Unusable, err = s.verdict(ctx, s.Topics.Customers, s.CustomerLetters, r, d.Profile(r.Value, &in.Change)); err != nil {
				return err
			}
		}
		batch.Next = records[len(records)-1].Offset + 1
		return take(batch)
	})
}

func (s Source) follow(ctx context.Context, topic string, from int64, take func([]eventlog.Record) error) error {
	cursor, err := s.Log.Open(ctx, topic, s.Partition, from)
	if err != nil {
		return err
	}
	defer cursor.Close()
	for {
		records, err := cursor.Next(ctx)
		if err != nil {
			return err
		}
		chunk := s.Chunk
		if chunk == 0 {
			chunk = len(records)
		}
		for len(records) > 0 {
			n := min(chunk, len(records))
			if err := s.inTurn(ctx, func() error { return take(records[:n]) }); err != nil {
				return err
			}
			records = records[n:]
		}
	}
}

func (s Source) inTurn(ctx context.Context, work func() error) error {
	if s.Turn == nil {
		return work()
	}
	done, err := s.Turn(ctx)
	if err != nil {
		return err
	}
	defer done()
	return work()
}

// verdict turns the decoder's error into the reason, with the record in the
// dead-letter queue by then.
func (s Source) verdict(ctx context.Context, topic string, letters *Letters, r *eventlog.Record, err error) (string, error) {
	if err == nil {
		return "", nil
	}
	reason := err.Error()
	var unusable *event.Unusable
	switch {
	case r.TooLarge:
		reason = "the value is longer than 64 KiB"
	case errors.As(err, &unusable):
		reason = unusable.Reason
	}
	return reason, letters.once(r.Offset, func() error { return s.letter(ctx, topic, r.Offset, reason) })
}

// letter writes one record to the dead-letter queue.
func (s Source) letter(ctx context.Context, topic string, offset int64, reason string) error {
	ctx, done := finishing(ctx)
	defer done()
	if err := s.Faults.Point(BeforeDeadLetter); err != nil {
		return err
	}
	if err := eventlog.DeadLetter(ctx, s.Log, s.Topics, topic, s.Partition, offset, reason); err != nil {
		return err
	}
	return s.Faults.Point(AfterDeadLetter)
}
