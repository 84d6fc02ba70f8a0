package master

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"archbench/common/batch"
	"archbench/common/coverage"
	"archbench/common/duck"
	"archbench/common/durable"
)

const (
	manifestName    = "manifest"
	manifestVersion = 2
	// fanIn is how many segments of one level are merged into one of the next, so
	// their number grows with the logarithm of the history.
	fanIn = 8
)

// Line is a usable line with its place.
type Line = batch.PlacedLine

// Change is a usable profile change with its place.
type Change = batch.PlacedChange

// Segment is one immutable pair of files.
type Segment struct {
	Name      string          `json:"name"` // of the files, before .lines.parquet and .changes.parquet
	Level     int             `json:"level"`
	Orders    []coverage.Span `json:"orders"` // by partition
	Customers []coverage.Span `json:"customers"`
	Lines     int64           `json:"lines"`
	Unusable  int64           `json:"unusable"` // records that the spans cover and the files leave out
	Sums      [2]uint32       `json:"sums"`     // CRC-32C of the two files
}

// from is where the segment's spans begin.
func (g *Segment) from() coverage.Coverage {
	c := coverage.Zero(len(g.Orders))
	for p := range c.Orders {
		c.Orders[p], c.Customers[p] = g.Orders[p].From, g.Customers[p].From
	}
	return c
}

// Manifest names the segments, in the order of their spans.
type Manifest struct {
	Partitions int       `json:"partitions"`
	Next       int       `json:"next"` // number of the next segment
	Segments   []Segment `json:"segments"`
	// Repeated are segments beyond the offsets of their time: see EndAt. Their
	// spans are not among the others', and their lines and changes count beside them.
	Repeated []Segment `json:"repeated,omitempty"`
}

// all are all segments.
func (m *Manifest) all() []Segment { return slices.Concat(m.Segments, m.Repeated) }

// Master is an open master dataset.
type Master struct {
	dir string
	db  *duck.DB
	m   Manifest
}

// Open reads the manifest of a directory and checks what it names. Files that it
// does not name were left by a crash and are removed.
func Open(dir string, partitions int, db *duck.DB) (*Master, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the master dataset's directory: %w", err)
	}
	s := &Master{dir: dir, db: db, m: Manifest{Partitions: partitions, Next: 1}}
	content, err := durable.Load(filepath.Join(dir, manifestName), manifestName, manifestVersion)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	default:
		if err := json.Unmarshal(content, &s.m); err != nil {
			return nil, &durable.Damaged{Path: filepath.Join(dir, manifestName), Reason: "cannot be read: " + err.Error()}
		}
	}
	if s.m.Partitions != partitions {
		return nil, fmt.Errorf("the master dataset has %d partitions, the data directory %d", s.m.Partitions, partitions)
	}
	if err := errors.Join(s.checkSpans(), s.checkFiles()); err != nil {
		return nil, err
	}
	return s, s.removeStrays()
}

// Coverage is what the segments hold.
func (s *Master) Coverage() coverage.Coverage {
	c := coverage.Zero(s.m.Partitions)
	for _, g := range s.m.Segments {
		for p := range c.Orders {
			c.Orders[p], c.Customers[p] = g.Orders[p].To, g.Customers[p].To
		}
	}
	return c
}

// Unusable counts the records that the spans cover and the files leave out.
func (s *Master) Unusable() (n int64) {
	for _, g := range s.m.Segments {
		n += g.Unusable
	}
	return n
}

// Segments is the number of segments.
func (s *Master) Segments() int { return len(s.m.Segments) }

// Repeated is the number of segments that EndAt set aside, ever.
func (s *Master) Repeated() int { return len(s.m.Repeated) }

func (s *Master) checkSpans() error {
	for p := range s.m.Partitions {
		var orders, customers []coverage.Span
		for _, g := range s.m.Segments {
			if len(g.Orders) != s.m.Partitions || len(g.Customers) != s.m.Partitions {
				return fmt.Errorf("segment %s of the master dataset has other partitions", g.Name)
			}
			orders, customers = append(orders, g.Orders[p]), append(customers, g.Customers[p])
		}
		if err := coverage.Contiguous(0, orders); err != nil {
			return fmt.Errorf("master dataset, orders partition %d: %w", p, err)
		}
		if err := coverage.Contiguous(0, customers); err != nil {
			return fmt.Errorf("master dataset, customers partition %d: %w", p, err)
		}
	}
	return nil
}

func (s *Master) checkFiles() error {
	for _, g := range s.m.all() {
		for i, path := range s.files(g.Name) {
			if err := durable.CheckFile(path, g.Sums[i], "remove the data directory to build the state anew from the log"); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeStrays removes Parquet files that the manifest does not name.
func (s *Master) removeStrays() error {
	found, err := filepath.Glob(filepath.Join(s.dir, "*.parquet"))
	if err != nil {
		return err
	}
	for _, path := range found {
		named := slices.ContainsFunc(s.m.all(), func(g Segment) bool { return slices.Contains(s.files(g.Name), path) })
		if !named {
			if err := os.Remove(path); err != nil {
				return fmt.Errorf("remove a segment that a crash left: %w", err)
			}
		}
	}
	return nil
}

// files are the segment's lines and changes.
func (s *Master) files(name string) []string {
	return []string{filepath.Join(s.dir, name+".lines.parquet"), filepath.Join(s.dir, name+".changes.parquet")}
}

// Write writes a segment's files for what lies between the present coverage and
// to, in the order of offsets within a partition. Nothing names them before Commit.
func (s *Master) Write(to coverage.Coverage, lines []Line, changes []Change) (Segment, error) {
	at := s.Coverage()
	g := Segment{Name: fmt.Sprintf("segment-%06d", s.m.Next), Lines: int64(len(lines))}
	for p := range s.m.Partitions {
		g.Orders = append(g.Orders, coverage.Span{From: at.Orders[p], To: to.Orders[p]})
		g.Customers = append(g.Customers, coverage.Span{From: at.Customers[p], To: to.Customers[p]})
	}
	files := s.files(g.Name)
	if err := batch.WriteLines(files[0], lines); err != nil {
		return g, err
	}
	if err := batch.WriteChanges(files[1], changes); err != nil {
		return g, err
	}
	err := s.seal(&g)
	return g, err
}

// seal makes a segment's files durable and sums them.
func (s *Master) seal(g *Segment) (err error) {
	for i, path := range s.files(g.Name) {
		if g.Sums[i], err = durable.SyncFile(path); err != nil {
			return fmt.Errorf("sync %s: %w", path, err)
		}
	}
	return durable.SyncDir(s.dir)
}

// Commit adds a segment to the manifest, durably, with the unusable records that
// its spans cover.
func (s *Master) Commit(g Segment, unusable int64) error {
	next := s.m
	g.Unusable = unusable
	next.Segments = append(slices.Clone(s.m.Segments), g)
	next.Next++
	return s.save(next)
}

func (s *Master) save(m Manifest) error {
	content, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode the manifest: %w", err)
	}
	if err := durable.Save(filepath.Join(s.dir, manifestName), manifestName, manifestVersion, content); err != nil {
		return err
	}
	s.m = m
	return nil
}

// MergeSmall merges the last segments while fanIn of one level stand together.
// between is called when the manifest names the merged segment and the old files
// are still there.
func (s *Master) MergeSmall(ctx context.Context, between func() error) error {
	for {
		n := len(s.m.Segments)
		if n < fanIn {
			return nil
		}
		old := s.m.Segments[n-fanIn:]
		for _, g := range old {
			if g.Level != old[fanIn-1].Level {
				return nil
			}
		}
		if err := s.merge(ctx, old, between); err != nil {
			return err
		}
	}
}

func (s *Master) merge(ctx context.Context, old []Segment, between func() error) error {
	first, last := old[0], old[len(old)-1]
	g := Segment{Name: fmt.Sprintf("segment-%06d", s.m.Next), Level: last.Level + 1}
	var lines, changes []string
	for _, o := range old {
		g.Lines, g.Unusable = g.Lines+o.Lines, g.Unusable+o.Unusable
		lines, changes = append(lines, s.files(o.Name)[0]), append(changes, s.files(o.Name)[1])
	}
	for p := range s.m.Partitions {
		g.Orders = append(g.Orders, coverage.Span{From: first.Orders[p].From, To: last.Orders[p].To})
		g.Customers = append(g.Customers, coverage.Span{From: first.Customers[p].From, To: last.Customers[p].To})
	}
	for i, old := range [][]string{lines, changes} {
		path := s.files(g.Name)[i]
		if err := s.db.Do(ctx, "merge segments into "+path, fmt.Sprintf(`COPY (SELECT * FROM %s ORDER BY partition, "offset") TO %s (FORMAT parquet, COMPRESSION zstd)`, readParquet(old), duck.Quote(path))); err != nil {
			return err
		}
	}
	if err := s.seal(&g); err != nil {
		return err
	}
	next := s.m
	next.Segments = append(slices.Clone(s.m.Segments[:len(s.m.Segments)-len(old)]), g)
	next.Next++
	if err := s.save(next); err != nil {
		return err
	}
	if err := between(); err != nil {
		return err
	}
	for _, o := range old {
		for _, path := range s.files(o.Name) {
			if err := os.Remove(path); err != nil {
				return fmt.Errorf("remove a merged segment: %w", err)
			}
		}
	}
	return nil
}

// EndAt makes the spans end at offsets that are kept apart from the manifest, where
// a crash came between the two commits. Offsets behind the last segment: its records
// will be read again, and count again, so it is set aside with all that it holds.
// Offsets beyond it: an empty segment stands for the records, which are lost.
func (s *Master) EndAt(at coverage.Coverage) error {
	end := s.Coverage()
	switch {
	case end.Equal(at):
		return nil
	case at.AtLeast(end):
		g, err := s.Write(at, nil, nil)
		if err != nil {
			return err
		}
		return s.Commit(g, 0)
	}
	n := len(s.m.Segments) - 1
	if n < 0 || !s.m.Segments[n].from().Equal(at) {
		return &durable.Damaged{Path: filepath.Join(s.dir, manifestName), Reason: fmt.Sprintf("has no segment that begins at the saved offsets %s: remove the data directory to build the state anew from the log", at)}
	}
	next := s.m
	next.Segments, next.Repeated = slices.Clone(s.m.Segments[:n]), append(slices.Clone(s.m.Repeated), s.m.Segments[n])
	return s.save(next)
}

// Lines is the relation of all lines, duplicates included; Changes that of all
// profile changes. Without a segment they are empty relations.
func (s *Master) Lines() string   { return s.relation(s.m.all(), 0, batch.LineColumns) }
func (s *Master) Changes() string { return s.relation(s.m.all(), 1, batch.ChangeColumns) }

func (s *Master) relation(segments []Segment, file int, columns string) string {
	if len(segments) == 0 {
		var casts []string
		for _, c := range strings.Split(columns, ", ") {
			name, kind, _ := strings.Cut(c, " ")
			casts = append(casts, fmt.Sprintf("NULL::%s AS %s", kind, name))
		}
		return "(SELECT " + strings.Join(casts, ", ") + " WHERE false)"
	}
	var paths []string
	for _, g := range segments {
		paths = append(paths, s.files(g.Name)[file])
	}
	return readParquet(paths)
}

func readParquet(paths []string) string {
	var quoted []string
	for _, p := range paths {
		quoted = append(quoted, duck.Quote(p))
	}
	return "read_parquet([" + strings.Join(quoted, ", ") + "])"
}

// Replay calls f for every change and then g for every line of the spans, each in offset order
// within its partition: lines find the profiles that were there. A line and its texts
// are valid until g returns.
func (s *Master) Replay(ctx context.Context, f func(*Change), g func(*Line)) error {
	if err := s.replayChanges(ctx, f); err != nil {
		return err
	}
	next := make([]int64, s.m.Partitions)
	for _, segment := range s.m.Segments {
		path := s.files(segment.Name)[0]
		ordered := true
		err := batch.ReadLines(ctx, path, func(l *Line) {
			ordered = ordered && l.Offset >= next[l.Partition]
			next[l.Partition] = l.Offset + 1
			g(l)
		})
		if err != nil {
			return fmt.Errorf("the master dataset: %w", err)
		}
		if !ordered {
			return &durable.Damaged{Path: path, Reason: "its lines are not in the order of their offsets: remove the data directory to build the state anew from the log"}
		}
	}
	return nil
}

func (s *Master) replayChanges(ctx context.Context, f func(*Change)) error {
	rows, err := s.db.QueryContext(ctx, fmt.Sprintf(`SELECT partition, "offset", customer_id, segment, valid_from_ms FROM %s ORDER BY partition, "offset"`, s.relation(s.m.Segments, 1, batch.ChangeColumns)))
	if err != nil {
		return fmt.Errorf("read the master dataset: %w", err)
	}
	defer rows.Close()
	var c Change
	for rows.Next() {
		if err := rows.Scan(&c.Partition, &c.Offset, &c.CustomerID, &c.Segment, &c.ValidFromMS); err != nil {
			return fmt.Errorf("read the master dataset: %w", err)
		}
		f(&c)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read the master dataset: %w", err)
	}
	return nil
}
