package scenario

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"archbench/bench/judge"
	"archbench/bench/ledger"
	"archbench/bench/process"
	"archbench/common/architecture"
	"archbench/common/coverage"
	"archbench/common/eventlog"
	"archbench/common/serving"
	"archbench/common/view"
)

// engine is the architecture of one measurement, started and listened to.
type engine struct {
	t       *trial
	client  *serving.Client
	process *process.Process // nil behind a URL

	stop context.CancelFunc // of what follows it
	wait sync.WaitGroup

	mu        sync.Mutex
	announced []ledger.Announced
	listening error // why the stream ended, if it did
	samples   []sample

	alerts      []judge.Raised // as they came
	alertsRead  []int64        // by partition: the next offset of topic alerts
	alertsEnded error          // why reading it ended, if it did
}

// sample is what the process had used at a moment.
type sample struct {
	atUS int64
	process.Usage
}

// start starts the architecture, or waits for an engine behind a URL to follow
// the topics, and listens to its coverage.
func (t *trial) start(ctx context.Context) (_ *engine, err error) {
	path := filepath.Join(t.dir, "config.yaml")
	config := ProcessConfig{Run: t.result.Run.ID, Bootstrap: t.broker.Bootstrap(), Topics: strings.TrimSuffix(t.topics.Orders, ".orders"), DataDir: filepath.Join(t.dir, "data"),
		Params: t.Params, Policy: t.Policy, Guarantee: t.Guarantee, Lateness: t.Lateness, Rules: view.EveryLine, Trigger: t.trigger, BatchInterval: t.batchInterval}
	if err := t.ArchitectureConfig(path, config); err != nil {
		return nil, fmt.Errorf("write the process's configuration: %w", err)
	}
	e := &engine{t: t, alertsRead: make([]int64, t.Partitions)}
	t.seen.began = time.Now()
	if t.url != "" {
		e.client = serving.NewClient(t.url, t.Token)
		if err := e.follows(ctx, config, path); err != nil {
			e.client.Close()
			return nil, err
		}
	} else {
		command := append(t.Executable[:len(t.Executable):len(t.Executable)], "serve", t.name, "--config", path)
		if e.process, err = process.Start(ctx, command, config.DataDir, filepath.Join(t.dir, "process.log"), t.result.Host.CPUSets.Architecture); err != nil {
			return nil, broke("%w", err)
		}
		e.client = serving.NewClient(e.process.Address, t.Token)
	}
	e.askPolicy(ctx)
	following, stop := context.WithCancel(ctx)
	e.stop = stop
	e.wait.Go(func() { e.listen(following) })
	e.wait.Go(func() { e.sample(following) })
	e.wait.Go(func() { e.followAlerts(following) })
	return e, nil
}

// follows waits until an engine behind a URL answers for this measurement's topics.
func (e *engine) follows(ctx context.Context, c ProcessConfig, path string) error {
	e.t.say("        waiting for %s at %s to follow %s.orders and %s.customers at %s; the whole configuration is in %s",
		e.t.name, e.t.url, c.Topics, c.Topics, strings.Join(c.Bootstrap, ","), path)
	end, err := e.t.logEnd(ctx)
	if err != nil {
		return err
	}
	var last error
	for deadline := time.Now().Add(e.t.fixed.patience); time.Now().Before(deadline); {
		at, rules, err := e.client.Coverage(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			last = err
		case len(at.Orders) != e.t.Partitions || len(at.Customers) != e.t.Partitions:
			last = fmt.Errorf("its coverage %s is not of %d partitions", at, e.t.Partitions)
		case !end.AtLeast(at):
			last = fmt.Errorf("its coverage %s is of other topics: these end at %s", at, end)
		case rules != view.EveryLine:
			last = fmt.Errorf("it serves rules %d, want %d", rules, view.EveryLine)
		default:
			return nil
		}
		if err := pause(ctx, poll); err != nil {
			return err
		}
	}
	return broke("%s at %s did not follow the topics %s within %v: %w", e.t.name, e.t.url, c.Topics, e.t.fixed.patience, last)
}

// askPolicy notes the policy that the engine says it keeps to, where it is stricter
// than the one asked for: it is judged by that.
func (e *engine) askPolicy(ctx context.Context) {
	s, err := e.client.Status(ctx) // what is wrong with it shows when it must answer
	if err == nil && s.Policy == architecture.Exact {
		e.t.m.Policy = string(s.Policy)
	}
}

// poll is the time between looks at something that is waited for.
const poll = 5 * time.Millisecond

func pause(ctx context.Context, d time.Duration) error {
	rest := time.NewTimer(d)
	defer rest.Stop()
	select {
	case <-rest.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// end stops what follows the engine, and the process.
func (e *engine) end() error {
	e.stop()
	e.wait.Wait()
	e.client.Close()
	if e.process == nil {
		return nil
	}
	err := e.process.End()
	if err != nil {
		err = broke("end the process: %w", err)
	}
	return errors.Join(err, os.RemoveAll(e.process.Dir))
}

// listen collects announcements until the context ends.
func (e *engine) listen(ctx context.Context) {
	err := e.client.Listen(ctx, func(a serving.Announced) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.announced = append(e.announced, ledger.Announced{ReceivedUS: e.t.clock.US(a.At), Coverage: a.Coverage, Rules: int(a.Rules)})
	})
	e.mu.Lock()
	defer e.mu.Unlock()
	if ctx.Err() == nil {
		e.listening = fmt.Errorf("the coverage stream ended: %w", err)
	}
}

// latest is the last announcement that arrived.
func (e *engine) latest() (ledger.Announced, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.announced) == 0 {
		return ledger.Announced{}, e.listening
	}
	return e.announced[len(e.announced)-1], e.listening
}

// first is when the first announcement that ok accepts arrived, µs; false if none did.
func (e *engine) first(ok func(ledger.Announced) bool) (int64, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, a := range e.announced {
		if ok(a) {
			return a.ReceivedUS, true
		}
	}
	return 0, false
}

// until waits for an announcement that ok accepts, and shows how far it is.
func (e *engine) until(ctx context.Context, what string, ok func(ledger.Announced) bool) error {
	return e.await(ctx, what, ok, func(a ledger.Announced) {
		e.t.show("%s: %s, %d of %d events", e.t.label, what, a.Coverage.Sum(), e.t.loader.Count())
	})
}

// await waits for an announcement that ok accepts. What has come meanwhile is told.
func (e *engine) await(ctx context.Context, what string, ok func(ledger.Announced) bool, tell func(ledger.Announced)) error {
	for began := time.Now(); ; {
		a, err := e.latest()
		if a.Coverage.Orders != nil && ok(a) {
			return nil
		}
		if ended := e.ended(); ended != nil {
			return broke("%w while %s", ended, what)
		}
		if err != nil {
			return broke("%w while %s", err, what)
		}
		if time.Since(began) > e.t.fixed.patience {
			return broke("%s took longer than %v: coverage is %s, rules are %d", what, e.t.fixed.patience, a.Coverage, a.Rules)
		}
		tell(a)
		if err := pause(ctx, poll); err != nil {
			return err
		}
	}
}

// ended says how the process ended, nil while it runs.
func (e *engine) ended() error {
	if e.process == nil {
		return nil
	}
	select {
	case <-e.process.Done():
		return fmt.Errorf("the process ended (%v; see %s)", e.process.Err(), filepath.Join(e.t.dir, "process.log"))
	default:
		return nil
	}
}

// covers accepts announcements that include at.
func covers(at coverage.Coverage) func(ledger.Announced) bool {
	return func(a ledger.Announced) bool { return a.Coverage.AtLeast(at) }
}

// logEnd is the coverage of everything in the log, writes that were repeated
// included. Call it when nothing is being sent.
func (t *trial) logEnd(ctx context.Context) (coverage.Coverage, error) {
	b, err := eventlog.Inputs(ctx, t.kafkalog, t.topics)
	return b.End, err
}

// caughtUp waits until answers include everything in the log.
func (e *engine) caughtUp(ctx context.Context, what string) error {
	end, err := e.t.logEnd(ctx)
	if err != nil {
		return err
	}
	return e.until(ctx, what, covers(end))
}

// mark is the state of things at a moment.
type mark struct {
	status architecture.Status
	usage  process.Usage
}

// mark waits for a moment and takes the architecture's status and usage.
func (e *engine) mark(ctx context.Context, at time.Time) (m mark, err error) {
	if err := pause(ctx, time.Until(at)); err != nil {
		return m, err
	}
	if m.status, err = e.client.Status(ctx); err != nil && ctx.Err() == nil {
		return m, broke("ask for the status: %w", err)
	} else if err != nil {
		return m, err
	}
	if e.process != nil {
		if m.usage, err = e.process.Usage(); err != nil {
			return m, broke("%w", err)
		}
	}
	return m, nil
}

// sampleEvery is the time between looks at what the process uses.
const sampleEvery = 500 * time.Millisecond

// sample looks at what the process uses until the context ends.
func (e *engine) sample(ctx context.Context) {
	for e.process != nil {
		if u, err := e.process.Usage(); err == nil { // an error: it has ended, which shows elsewhere
			e.mu.Lock()
			e.samples = append(e.samples, sample{e.t.clock.NowUS(), u})
			e.mu.Unlock()
		}
		if pause(ctx, sampleEvery) != nil {
			return
		}
	}
}
