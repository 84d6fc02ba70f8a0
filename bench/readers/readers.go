package readers

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"archbench/common/serving"
	"archbench/common/view"
)

// Entry is one read, as spooled.
type Entry struct {
	SentUS     int64  `json:"sent_us"`     // intended, µs since the epoch
	ReceivedUS int64  `json:"received_us"` // the whole body was there
	View       string `json:"view"`
	Query      string `json:"query"`
	Error      string `json:"error,omitempty"` // why there is no body
	Body       []byte `json:"-"`
}

// Spool writes entries to a file: for each, the length and JSON of its head,
// the length and bytes of its body, compressed all together.
type Spool struct {
	mu   sync.Mutex
	file *os.File
	zstd *zstd.Encoder
	out  *bufio.Writer
	err  error
}

// NewSpool makes the file.
func NewSpool(path string) (*Spool, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("make the spool: %w", err)
	}
	z, err := zstd.NewWriter(f, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("compress the spool: %w", err), f.Close())
	}
	return &Spool{file: f, zstd: z, out: bufio.NewWriterSize(z, 1<<20)}, nil
}

// Put adds an entry.
func (s *Spool) Put(e *Entry) {
	head, err := json.Marshal(e)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, part := range [][]byte{head, e.Body} {
		if err == nil {
			_, err = s.out.Write(binary.AppendUvarint(nil, uint64(len(part))))
		}
		if err == nil {
			_, err = s.out.Write(part)
		}
	}
	s.err = errors.Join(s.err, err)
}

// Close completes the file.
func (s *Spool) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := errors.Join(s.err, s.out.Flush(), s.zstd.Close(), s.file.Close()); err != nil {
		return fmt.Errorf("write the spool: %w", err)
	}
	return nil
}

// ReadSpool calls f for every entry of a spool.
func ReadSpool(path string, f func(*Entry) error) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open the spool: %w", err)
	}
	defer file.Close()
	z, err := zstd.NewReader(file)
	if err != nil {
		return fmt.Errorf("decompress the spool: %w", err)
	}
	defer z.Close()
	in := bufio.NewReaderSize(z, 1<<20)
	part := func() ([]byte, error) {
		n, err := binary.ReadUvarint(in)
		if err != nil {
			return nil, err
		}
		b := make([]byte, n)
		_, err = io.ReadFull(in, b)
		return b, err
	}
	for {
		head, err := part()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s is torn: %w", path, err)
		}
		e := &Entry{}
		if err := json.Unmarshal(head, e); err != nil {
			return fmt.Errorf("%s is torn: %w", path, err)
		}
		if e.Body, err = part(); err != nil {
			return fmt.Errorf("%s is torn: %w", path, err)
		}
		if err := f(e); err != nil {
			return err
		}
	}
}

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

// query is the n-th question: the views in rotation; recent windows, a random
// older range every third time round, now and then everything.
func (p Plan) query(n int64) view.Query {
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

// Run asks on schedule until the context ends, and waits for the answers that
// are under way.
func Run(ctx context.Context, c *serving.Client, p Plan, start time.Time, spool *Spool) {
	var wg sync.WaitGroup
	defer wg.Wait()
	asking := context.WithoutCancel(ctx)
	for n := int64(0); ; n++ {
		due := start.Add(time.Duration(float64(n) / p.PerSecond * float64(time.Second)))
		select {
		case <-time.After(time.Until(due)):
		case <-ctx.Done():
			return
		}
		wg.Go(func() { ask(asking, c, p.query(n), due, spool) })
	}
}

// answerPatience bounds one read.
const answerPatience = 60 * time.Second

func ask(ctx context.Context, c *serving.Client, q view.Query, due time.Time, spool *Spool) {
	ctx, cancel := context.WithTimeout(ctx, answerPatience)
	defer cancel()
	e := &Entry{SentUS: due.UnixMicro(), View: string(q.View), Query: serving.EncodeQuery(q).Encode()}
	body, err := c.AnswerBody(ctx, q)
	if err != nil {
		e.Error = err.Error()
	}
	e.Body = body
	e.ReceivedUS = due.Add(time.Since(due)).UnixMicro() // monotonic from the schedule's one reading
	spool.Put(e)
}
