package scenario

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"archbench/common/architecture"
	"archbench/common/coverage"
	"archbench/common/eventlog"
	"archbench/common/oracle"
	"archbench/common/view"
)

// dump writes every view whole, with the coverage and rules of each beside it.
func (t *trial) dump(ctx context.Context) error {
	var heads strings.Builder
	for _, v := range view.Names() {
		f, err := os.Create(t.viewPath(v))
		if err != nil {
			return fmt.Errorf("dump %s: %w", v, err)
		}
		at, rules, err := t.client.CopyCSV(ctx, v, f)
		if err := errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("dump %s: %w", v, err)
		}
		fmt.Fprintf(&heads, "%s %d %s\n", v, rules, at)
	}
	return os.WriteFile(filepath.Join(t.dir, "views.coverage"), []byte(heads.String()), 0o644)
}

func (t *trial) viewPath(v view.Name) string {
	return filepath.Join(t.dir, "views", string(v)+".csv")
}

// dumped reads a dumped view back, with its coverage and rules.
func (t *trial) dumped(v view.Name) (architecture.Answer, error) {
	a := architecture.Answer{View: v}
	heads, err := os.ReadFile(filepath.Join(t.dir, "views.coverage"))
	if err != nil {
		return a, fmt.Errorf("read the dumps' coverage: %w", err)
	}
	for line := range strings.Lines(string(heads)) {
		var name, at string
		var rules int
		if _, err := fmt.Sscanf(line, "%s %d %s", &name, &rules, &at); err != nil {
			return a, fmt.Errorf("read the dumps' coverage: %w", err)
		}
		if name == string(v) {
			a.Rules = view.Rules(rules)
			if a.Coverage, err = coverage.Parse(at); err != nil {
				return a, err
			}
		}
	}
	f, err := os.Open(t.viewPath(v))
	if err != nil {
		return a, fmt.Errorf("read a dump: %w", err)
	}
	defer f.Close()
	a.Rows, err = v.Schema().ReadCSV(f)
	return a, err
}

// readLog reads both topics whole: the truth is what the log holds.
func (t *trial) readLog(ctx context.Context) (*oracle.History, error) {
	h := oracle.NewHistory(t.Partitions)
	for p := range t.Partitions {
		if err := t.readPartition(ctx, t.topics.Orders, p, len(t.loader.Sent().Orders[p]), h.AddOrder); err != nil {
			return nil, err
		}
		if err := t.readPartition(ctx, t.topics.Customers, p, len(t.loader.Sent().Customers[p]), h.AddCustomer); err != nil {
			return nil, err
		}
	}
	return h, nil
}

func (t *trial) readPartition(ctx context.Context, topic string, p, want int, add func(int, int64, []byte)) error {
	_, end, err := t.kafkalog.Bounds(ctx, topic, p)
	if err != nil {
		return err
	}
	if end != int64(want) {
		return fmt.Errorf("%s partition %d holds %d records where %d were sent: a write was repeated, so intended times and offsets no longer match", topic, p, end, want)
	}
	if want == 0 {
		return nil
	}
	var c eventlog.Cursor
	if c, err = t.kafkalog.Open(ctx, topic, p, 0); err != nil {
		return err
	}
	defer c.Close()
	for at := int64(0); at < end; {
		records, err := c.Next(ctx)
		if err != nil {
			return fmt.Errorf("read %s partition %d: %w", topic, p, err)
		}
		for _, r := range records {
			if r.Offset < end {
				add(p, r.Offset, r.Value)
			}
			at = r.Offset + 1
		}
	}
	return nil
}

// sampleUsage writes usage.csv, twice a second.
func (t *trial) sampleUsage(ctx context.Context, began time.Time) {
	var b strings.Builder
	b.WriteString("ms,cpu_s,rss_peak_bytes,disk_bytes\n")
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		if u, err := t.process.Usage(); err == nil {
			fmt.Fprintf(&b, "%d,%.2f,%d,%d\n", time.Since(began).Milliseconds(), u.CPUSeconds, u.RSSPeak, u.Disk)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	if err := os.WriteFile(filepath.Join(t.dir, "usage.csv"), []byte(b.String()), 0o644); err != nil {
		t.say("usage.csv: %v", err)
	}
}

// writeRaw writes the remaining raw files.
func (t *trial) writeRaw() error {
	write := func(name string, fill func(*bufio.Writer)) error {
		f, err := os.Create(filepath.Join(t.dir, name))
		if err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		b := bufio.NewWriter(f)
		fill(b)
		if err := errors.Join(b.Flush(), f.Close()); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		return nil
	}
	return errors.Join(
		write("coverage.csv", func(b *bufio.Writer) {
			fmt.Fprintln(b, "received_us,orders,customers,rules")
			for _, a := range t.announced {
				fmt.Fprintf(b, "%d,%q,%q,%d\n", a.At.UnixMicro(), a.Coverage.Orders, a.Coverage.Customers, a.Rules)
			}
		}),
		write("timeline.csv", t.timeline),
		write("alerts.csv", func(b *bufio.Writer) {
			fmt.Fprintln(b, "rules,window_start,customer_id,gross_milli,orders_partition,orders_offset,detected_us")
		}),
		write("faults.csv", func(b *bufio.Writer) { fmt.Fprintln(b, "at_us,fault") }),
		t.writeLedger(),
	)
}

// timeline is, for each second of the live part, the records due and covered.
func (t *trial) timeline(b *bufio.Writer) {
	fmt.Fprintln(b, "second,due,covered")
	if t.live == nil {
		return
	}
	due := map[int64]int64{}
	for _, topic := range [][][]int64{t.loader.Sent().Orders, t.loader.Sent().Customers} {
		for _, p := range topic {
			for _, us := range p {
				due[(us-t.live.Start.UnixMicro())/1e6]++
			}
		}
	}
	next, covered := 0, int64(0)
	for s := int64(0); s <= int64(t.live.End.Sub(t.live.Start).Seconds()); s++ {
		for ; next < len(t.announced) && t.announced[next].At.Before(t.live.Start.Add(time.Duration(s+1)*time.Second)); next++ {
			covered = t.announced[next].Coverage.Sum()
		}
		fmt.Fprintf(b, "%d,%d,%d\n", s, due[s], covered)
	}
}

// writeLedger writes what was meant to be sent when: topic, partition, offset,
// and the intended time in µs.
func (t *trial) writeLedger() error {
	f, err := os.Create(filepath.Join(t.dir, "ledger.zst"))
	if err != nil {
		return fmt.Errorf("write the ledger: %w", err)
	}
	z, err := zstd.NewWriter(f, zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return errors.Join(err, f.Close())
	}
	b := bufio.NewWriterSize(z, 1<<16)
	fmt.Fprintln(b, "topic,partition,offset,intended_us")
	for topic, byPartition := range map[string][][]int64{"orders": t.loader.Sent().Orders, "customers": t.loader.Sent().Customers} {
		for p, intended := range byPartition {
			for o, us := range intended {
				fmt.Fprintf(b, "%s,%d,%d,%d\n", topic, p, o, us)
			}
		}
	}
	if err := errors.Join(b.Flush(), z.Close(), f.Close()); err != nil {
		return fmt.Errorf("write the ledger: %w", err)
	}
	return nil
}
