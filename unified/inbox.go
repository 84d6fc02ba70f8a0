package unified

import (
	"bytes"
	"context"
	"sync"

	"archbench/common/coverage"
	"archbench/common/event"
	"archbench/common/intake"
)

// lineOf is a line as it is read back from silver.
type lineOf = event.OrderLine

// maxWaiting bounds the records of one micro-batch, and so the memory that a
// backlog takes.
const maxWaiting = 250_000

// order and customer are records with their place.
type order struct {
	partition int
	intake.OrderRecord
}

type customer struct {
	partition int
	intake.CustomerRecord
}

// inbox holds what was read since the last micro-batch.
type inbox struct {
	mu        sync.Mutex
	at        coverage.Coverage
	orders    []order
	customers []customer
	spare     []order       // room of records that are done with
	taken     chan struct{} // closed and replaced whenever the inbox is emptied
}

func newInbox(at coverage.Coverage) *inbox {
	return &inbox{at: at.Clone(), taken: make(chan struct{})}
}

// room waits until the inbox takes more, and returns with the lock held.
func (b *inbox) room(ctx context.Context) error {
	for {
		b.mu.Lock()
		if len(b.orders)+len(b.customers) < maxWaiting {
			return nil
		}
		taken := b.taken
		b.mu.Unlock()
		select {
		case <-taken:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (b *inbox) putOrders(ctx context.Context, partition int, in intake.Orders) error {
	if err := b.room(ctx); err != nil {
		return err
	}
	defer b.mu.Unlock()
	size := 0
	for i := range in.Records {
		size += len(in.Records[i].Value)
	}
	values := make([]byte, 0, size) // bronze keeps them, the cursor does not
	for i := range in.Records {
		r := in.Records[i]
		values = append(values, r.Value...)
		r.Value = values[len(values)-len(r.Value) : len(values) : len(values)]
		b.orders = append(b.orders, order{partition, r})
	}
	b.at.Orders[partition] = in.Next
	return ctx.Err()
}

func (b *inbox) putCustomers(ctx context.Context, partition int, in intake.Customers) error {
	if err := b.room(ctx); err != nil {
		return err
	}
	defer b.mu.Unlock()
	for _, r := range in.Records {
		r.Value = bytes.Clone(r.Value)
		b.customers = append(b.customers, customer{partition, r})
	}
	b.at.Customers[partition] = in.Next
	return ctx.Err()
}

// take empties the inbox; the records reach up to at.
func (b *inbox) take() (orders []order, customers []customer, at coverage.Coverage) {
	b.mu.Lock()
	defer b.mu.Unlock()
	orders, customers = b.orders, b.customers
	b.orders, b.customers, b.spare = b.spare, nil, nil
	close(b.taken)
	b.taken = make(chan struct{})
	return orders, customers, b.at.Clone()
}

// giveBack lets the inbox use the room of records that were taken again.
func (b *inbox) giveBack(orders []order) {
	clear(orders) // what they point at is garbage
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spare = orders[:0]
}

func (b *inbox) waiting() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return int64(len(b.orders) + len(b.customers))
}

func (b *inbox) full() bool { return b.waiting() >= maxWaiting/2 }
