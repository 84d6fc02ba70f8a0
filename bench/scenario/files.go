package scenario

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"archbench/bench/gate"
	"archbench/bench/ledger"
	"archbench/common/architecture"
	"archbench/common/coverage"
	"archbench/common/view"
)

// note adds a sentence for the reader.
func (t *trial) note(format string, args ...any) {
	t.m.Notes = append(t.m.Notes, fmt.Sprintf(format, args...))
}

// dump writes every view whole, with the rules, coverage and seam of each beside it.
func (t *trial) dump(ctx context.Context) error {
	t.show("%s: dumping the views", t.label)
	var heads strings.Builder
	for _, v := range view.Names() {
		f, err := os.Create(t.viewPath(v))
		if err != nil {
			return fmt.Errorf("dump %s: %w", v, err)
		}
		a, err := t.engine.client.CopyCSV(ctx, v, f)
		closing := f.Close()
		if err != nil && ctx.Err() == nil {
			return broke("dump %s: %w", v, err)
		}
		if err := errors.Join(err, closing); err != nil {
			return fmt.Errorf("dump %s: %w", v, err)
		}
		fmt.Fprintf(&heads, "%s %d %s", v, a.Rules, a.Coverage)
		if a.Seam != nil {
			fmt.Fprintf(&heads, " %s", a.Seam)
		}
		heads.WriteByte('\n')
	}
	return os.WriteFile(filepath.Join(t.dir, "views.coverage"), []byte(heads.String()), 0o644)
}

func (t *trial) viewPath(v view.Name) string {
	return filepath.Join(t.dir, "views", string(v)+".csv")
}

// dumped reads a dumped view back, with its rules, coverage and seam.
func (t *trial) dumped(v view.Name) (architecture.Answer, error) {
	a := architecture.Answer{View: v}
	heads, err := os.ReadFile(filepath.Join(t.dir, "views.coverage"))
	if err != nil {
		return a, fmt.Errorf("read the dumps' coverage: %w", err)
	}
	for line := range strings.Lines(string(heads)) {
		if name, rest, _ := strings.Cut(line, " "); name == string(v) {
			if err := parseHead(rest, &a); err != nil {
				return a, fmt.Errorf("read the dumps' coverage: %w", err)
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

// parseHead reads rules, coverage and, where there is one, the seam.
func parseHead(text string, a *architecture.Answer) (err error) {
	fields := strings.Fields(text)
	if len(fields) < 2 {
		return fmt.Errorf("%q does not name rules and coverage", text)
	}
	if _, err := fmt.Sscan(fields[0], &a.Rules); err != nil {
		return err
	}
	if a.Coverage, err = coverage.Parse(fields[1]); err != nil || len(fields) == 2 {
		return err
	}
	seam, err := coverage.Parse(fields[2])
	a.Seam = &seam
	return err
}

// writeRaw writes the remaining raw files.
func (t *trial) writeRaw(book *ledger.Ledger, _ *gate.Facts) error {
	announced := t.engineAnnounced()
	return errors.Join(
		t.write("coverage.csv", "received_us,orders,customers,rules", func(b *bufio.Writer) {
			for _, a := range announced {
				fmt.Fprintf(b, "%d,%q,%q,%d\n", a.ReceivedUS, a.Coverage.Orders, a.Coverage.Customers, a.Rules)
			}
		}),
		t.write("usage.csv", "at_us,cpu_s,rss_bytes,rss_peak_bytes,disk_bytes", func(b *bufio.Writer) {
			if t.engine == nil {
				return
			}
			for _, s := range t.engine.samples {
				fmt.Fprintf(b, "%d,%.2f,%d,%d,%d\n", s.atUS, s.CPUSeconds, s.RSS, s.RSSPeak, s.Disk)
			}
		}),
		t.write("timeline.csv", "second,due,covered,behind", func(b *bufio.Writer) { t.timeline(b, book, announced) }),
		t.write("alerts.csv", "rules,window_start,customer_id,gross_milli,orders_partition,orders_offset,detected_us,received_us", t.writeAlerts),
		t.write("faults.csv", "at_us,fault", nil),
		book.Write(filepath.Join(t.dir, "ledger.zst")),
	)
}

// write writes a CSV file: the head alone if there is nothing to fill in.
func (t *trial) write(name, head string, fill func(*bufio.Writer)) error {
	f, err := os.Create(filepath.Join(t.dir, name))
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	b := bufio.NewWriter(f)
	fmt.Fprintln(b, head) // errors show at Flush
	if fill != nil {
		fill(b)
	}
	if err := errors.Join(b.Flush(), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// timeline is, for the end of each second of the live part, how many of all
// records were due and how many covered by then.
func (t *trial) timeline(b *bufio.Writer, book *ledger.Ledger, announced []ledger.Announced) {
	live := t.seen.live
	if live == nil {
		return
	}
	const second = int64(1e6)
	due := make([]int64, (live.EndUS()-live.StartUS)/second+1) // by second; the history in the first
	for _, topic := range [][][]ledger.Entry{book.Orders, book.Customers} {
		for _, entries := range topic {
			for _, e := range entries {
				due[max(0, min(int64(len(due))-1, (e.IntendedUS-live.StartUS)/second))]++
			}
		}
	}
	var sum, covered int64
	next := 0
	for s := range int64(len(due)) {
		sum += due[s]
		for ; next < len(announced) && announced[next].ReceivedUS < live.StartUS+(s+1)*second; next++ {
			covered = announced[next].Coverage.Sum()
		}
		fmt.Fprintf(b, "%d,%d,%d,%d\n", s, sum, covered, sum-covered)
	}
}
