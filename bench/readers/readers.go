package readers

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"archbench/bench/clock"
	"archbench/common/serving"
	"archbench/common/view"
)

// Plan says what to ask.
type Plan struct {
	PerSecond float64
	Seed      uint64
	// EarliestMS and LatestMS are the event times that random ranges lie between.
	EarliestMS, LatestMS int64
	Params               view.Params
}

// wholeEvery: one read in so many asks for a whole view.
const wholeEvery = 40

// Query is the n-th question: the views in rotation; recent windows, a random
// older range every third time round, now and then everything.
func (p Plan) Query(n int64) view.Query {
	views := view.Names()
	q := view.Query{View: views[n%int64(len(views))]}
	round := n / int64(len(views))
	rng := rand.New(rand.NewPCG(p.Seed, uint64(n)))
	switch {
	case n%wholeEvery == wholeEvery-1:
	case round%3 == 2 && p.LatestMS > p.EarliestMS:
		from := p.EarliestMS + rng.Int64N(p.LatestMS-p.EarliestMS)
		to := from + p.Params.HopSize.Milliseconds()
		q.From, q.To = &from, &to
	default:
		q.Last = 1 + rng.IntN(5)
	}
	return q
}

// due is when question n is asked, after the start.
func (p Plan) due(n int64) time.Duration {
	return time.Duration(float64(n) / p.PerSecond * float64(time.Second))
}

// Within is how many questions fall into the first d of the schedule.
func (p Plan) Within(d time.Duration) (n int64) {
	n = int64(d.Seconds() * p.PerSecond)
	for p.due(n) < d {
		n++
	}
	for n > 0 && p.due(n-1) >= d {
		n--
	}
	return n
}

// Run asks on schedule from start on until the context ends, waits for the
// answers that are under way, and returns how many questions were asked.
func Run(ctx context.Context, c *serving.Client, p Plan, start time.Time, clock clock.Clock, spool *Spool) (asked int64) {
	var wg sync.WaitGroup
	defer wg.Wait()
	asking := context.WithoutCancel(ctx)
	wait := time.NewTimer(0)
	defer wait.Stop()
	for n := int64(0); ; n++ {
		due := start.Add(p.due(n))
		wait.Reset(time.Until(due))
		select {
		case <-wait.C:
		case <-ctx.Done():
			return n
		}
		wg.Go(func() { ask(asking, c, p.Query(n), due, clock, spool) })
	}
}

// answerPatience bounds one read.
const answerPatience = 60 * time.Second

func ask(ctx context.Context, c *serving.Client, q view.Query, due time.Time, clock clock.Clock, spool *Spool) {
	ctx, cancel := context.WithTimeout(ctx, answerPatience)
	defer cancel()
	e := &Entry{SentUS: clock.US(due), View: string(q.View), Query: serving.EncodeQuery(q).Encode()}
	body, err := c.AnswerBody(ctx, q)
	e.ReceivedUS = clock.NowUS()
	if err != nil {
		e.Error = err.Error()
	}
	e.Body = body
	spool.Put(e)
}
