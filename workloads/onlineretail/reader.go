package onlineretail

import (
	"bufio"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"archbench/common/event"
	"archbench/workloads"
)

// PublishedSHA256 is the checksum of the published data as CSV.
const PublishedSHA256 = "7615e19743f2c3e8e641375743c276dbb0ed64a70cf210464ce72c335db3d221"

var header = []string{"InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country"}

// Made-up profiles: everybody has one from profilesFrom on, every tenth
// customer becomes vip at promotedFrom.
var (
	profilesFrom = time.Date(2009, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	promotedFrom = time.Date(2011, 6, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	segments     = [...]string{"consumer", "business", "wholesale", "vip"}
)

// LineError is a line of the file that cannot be read.
type LineError struct {
	Path   string
	Line   int    // in the file, from 1, the header included
	Reason string // what is wrong
	Advice string // what to do
	err    error
}

func (e *LineError) Error() string {
	return fmt.Sprintf("%s line %d: %s: %s", e.Path, e.Line, e.Reason, e.Advice)
}

// Unwrap returns what the library said, if it was the library that failed.
func (e *LineError) Unwrap() error { return e.err }

// Source yields first all profile changes, by ascending customer and a
// customer's in order of time, then the lines of the file.
type Source struct {
	path    string
	id      string
	sum     string
	lines   int64
	events  int64
	changes []event.ProfileChange // still to be sent
	index   int64
	file    *file
	counts  map[string]int64 // lines so far of an invoice
}

// Open reads the file once, to count its lines, sum it and learn its customers,
// and is then ready to yield. id is online-retail or csv.
func Open(path, id string) (*Source, error) {
	s := &Source{path: path, id: id, counts: map[string]int64{}}
	customers, err := s.survey()
	if err != nil {
		return nil, err
	}
	for _, c := range customers {
		s.changes = append(s.changes, event.ProfileChange{Version: 1, CustomerID: c, Segment: segments[c%4], ValidFromMS: profilesFrom})
		if c%10 == 0 {
			s.changes = append(s.changes, event.ProfileChange{Version: 1, CustomerID: c, Segment: "vip", ValidFromMS: promotedFrom})
		}
	}
	s.events = s.lines + int64(len(s.changes))
	if s.file, err = openFile(path); err != nil {
		return nil, err
	}
	return s, nil
}

// survey reads the whole file and returns its customers, ascending.
func (s *Source) survey() ([]int64, error) {
	f, err := openFile(s.path)
	if err != nil {
		return nil, err
	}
	defer f.close()
	seen := map[int64]bool{}
	for {
		var l event.OrderLine
		if err := f.next(&l); err == io.EOF {
			break
		} else if err != nil {
			return nil, err
		}
		s.lines++
		if l.CustomerID != 0 {
			seen[l.CustomerID] = true
		}
	}
	s.sum = f.sum()
	var customers []int64
	for c := range seen {
		customers = append(customers, c)
	}
	slices.Sort(customers)
	return customers, nil
}

// Next implements workloads.Source.
func (s *Source) Next(e *workloads.Event) error {
	*e = workloads.Event{Index: s.index}
	s.index++
	if len(s.changes) > 0 {
		e.Topic, e.Change = workloads.Customers, s.changes[0]
		s.changes = s.changes[1:]
		return nil
	}
	if err := s.file.next(&e.Line); err != nil {
		return err
	}
	s.counts[e.Line.OrderID]++
	e.Line.Line = s.counts[e.Line.OrderID]
	e.Line.EventID = e.Line.OrderID + "-" + strconv.FormatInt(e.Line.Line, 10)
	return nil
}

// Lines implements workloads.Source.
func (s *Source) Lines() int64 { return s.lines }

// Events implements workloads.Source.
func (s *Source) Events() int64 { return s.events }

// Describe implements workloads.Source.
func (s *Source) Describe() workloads.Description {
	d := workloads.Description{ID: s.id, Source: "UCI Online Retail, https://doi.org/10.24432/C5BW33", SHA256: s.sum,
		Parameters: map[string]string{"lines": strconv.FormatInt(s.lines, 10), "profiles": "made up"}}
	if s.id == "csv" {
		d.Source = s.path
	} else if s.sum != PublishedSHA256 {
		d.Note = "the file's checksum is not that of the published data: the results are those of this file"
	}
	return d
}

// Close implements workloads.Source.
func (s *Source) Close() error { return s.file.close() }

// file is one pass over the CSV.
type file struct {
	path string
	os   *os.File
	zstd *zstd.Decoder // nil for a plain file
	csv  *csv.Reader
	line int // of the record read last
	hash hash.Hash
}

func openFile(path string) (*file, error) {
	o, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the order data: %w", err)
	}
	f := &file{path: path, os: o}
	var content io.Reader = o
	if strings.HasSuffix(path, ".zst") {
		if f.zstd, err = zstd.NewReader(bufio.NewReaderSize(o, 1<<16)); err != nil {
			return nil, errors.Join(fmt.Errorf("decompress %s: %w", path, err), o.Close())
		}
		content = f.zstd
	}
	if err := f.begin(content); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

// begin reads the header. A byte-order mark before it, as spreadsheets write, is passed over.
func (f *file) begin(content io.Reader) error {
	f.hash = sha256.New()
	in := bufio.NewReaderSize(io.TeeReader(content, f.hash), 1<<16)
	if mark, err := in.Peek(3); err == nil && string(mark) == "\ufeff" {
		in.Discard(3) // they were just peeked at
	}
	f.csv = csv.NewReader(in)
	f.csv.ReuseRecord = true
	f.csv.FieldsPerRecord = -1 // next says which line it is
	got, err := f.csv.Read()
	var syntax *csv.ParseError
	switch {
	case err != nil && err != io.EOF && !errors.As(err, &syntax):
		return f.torn(err)
	case err != nil || !slices.Equal(got, header):
		return &LineError{f.path, 1, "the header is missing or another", "the first line must be " + strings.Join(header, ","), nil}
	}
	f.line = 1
	return nil
}

func (f *file) close() error {
	if f.zstd != nil {
		f.zstd.Close()
	}
	return f.os.Close()
}

// sum is the checksum of the content read, hexadecimal.
func (f *file) sum() string { return hex.EncodeToString(f.hash.Sum(nil)) }

// mend is the advice for a line that is damaged in itself.
const mend = "mend or remove the line"

// next reads one line; EventID and Line are left to the caller. io.EOF at the end.
func (f *file) next(l *event.OrderLine) error {
	r, err := f.csv.Read()
	var syntax *csv.ParseError
	switch {
	case err == io.EOF:
		return io.EOF
	case errors.As(err, &syntax):
		return &LineError{f.path, syntax.StartLine, syntax.Err.Error(), mend, err}
	case err != nil:
		return f.torn(err)
	}
	f.line, _ = f.csv.FieldPos(0)
	if len(r) != len(header) {
		return &LineError{f.path, f.line, fmt.Sprintf("it has %d fields instead of %d", len(r), len(header)), mend, nil}
	}
	if err := parseLine(r, l); err != nil {
		return &LineError{f.path, f.line, err.Error(), mend, nil}
	}
	return nil
}

// torn is the error of a file that cannot be read on.
func (f *file) torn(err error) error {
	return &LineError{f.path, f.line + 1, "cannot read on: " + err.Error(), "the file is damaged or cut off: get it again", err}
}
