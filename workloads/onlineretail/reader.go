package onlineretail

import (
	"bufio"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
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
	Line   int // in the file, from 1, the header included
	Reason string
}

func (e *LineError) Error() string {
	return fmt.Sprintf("%s line %d: %s: mend or remove the line", e.Path, e.Line, e.Reason)
}

// Source yields first all profile changes, then the lines of the file.
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
	tee  io.Reader
	hash interface {
		io.Writer
		Sum(b []byte) []byte
	}
}

func openFile(path string) (*file, error) {
	o, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the order data: %w", err)
	}
	f := &file{path: path, os: o, hash: sha256.New()}
	var content io.Reader = bufio.NewReaderSize(o, 1<<16)
	if strings.HasSuffix(path, ".zst") {
		if f.zstd, err = zstd.NewReader(content); err != nil {
			return nil, errors.Join(fmt.Errorf("decompress %s: %w", path, err), o.Close())
		}
		content = f.zstd
	}
	f.tee = io.TeeReader(content, f.hash)
	f.csv = csv.NewReader(f.tee)
	f.csv.ReuseRecord = true
	f.csv.FieldsPerRecord = len(header)
	got, err := f.csv.Read()
	if err != nil || !slices.Equal(got, header) {
		if err != nil && !errors.As(err, new(*csv.ParseError)) && err != io.EOF {
			return nil, errors.Join(f.damaged(err), f.close())
		}
		return nil, errors.Join(&LineError{path, 1, "the header is not " + strings.Join(header, ",")}, f.close())
	}
	return f, nil
}

func (f *file) close() error {
	if f.zstd != nil {
		f.zstd.Close()
	}
	return f.os.Close()
}

// sum is the checksum of the content read, hexadecimal.
func (f *file) sum() string { return hex.EncodeToString(f.hash.Sum(nil)) }

// next reads one line; EventID and Line are left to the caller. io.EOF at the end.
func (f *file) next(l *event.OrderLine) error {
	r, err := f.csv.Read()
	if err == io.EOF {
		return io.EOF
	}
	if err != nil {
		return f.damaged(err)
	}
	line, _ := f.csv.FieldPos(0)
	if err := parseLine(r, l); err != nil {
		return &LineError{f.path, line, err.Error()}
	}
	return nil
}

// damaged names the line of a CSV error, or the file for one of decompression.
func (f *file) damaged(err error) error {
	var p *csv.ParseError
	if errors.As(err, &p) {
		return &LineError{f.path, p.Line, p.Err.Error()}
	}
	line, _ := f.csv.FieldPos(0)
	return &LineError{f.path, line + 1, "cannot read on: " + err.Error() + " (is the file whole?)"}
}

func parseLine(r []string, l *event.OrderLine) error {
	invoice, code, country := r[0], r[1], r[7]
	if invoice == "" || code == "" || country == "" {
		return errors.New("InvoiceNo, StockCode and Country must not be empty")
	}
	quantity, err := strconv.ParseInt(r[3], 10, 64)
	if err != nil {
		return fmt.Errorf("Quantity %q is not an integer", r[3])
	}
	at, err := time.Parse(time.DateTime, r[4])
	if err != nil {
		return fmt.Errorf("InvoiceDate %q is not of the form 2006-01-02 15:04:05", r[4])
	}
	price, err := parseMilli(r[5])
	if err != nil {
		return fmt.Errorf("UnitPrice %q: %w", r[5], err)
	}
	var customer int64
	if r[6] != "" {
		if customer, err = strconv.ParseInt(r[6], 10, 64); err != nil || customer <= 0 {
			return fmt.Errorf("CustomerID %q is neither empty nor a positive integer", r[6])
		}
	}
	*l = event.OrderLine{
		Version: 1, OrderID: strings.Clone(invoice), Kind: kindOf(invoice, quantity, price), CustomerID: customer,
		Country: strings.Clone(country), StockCode: strings.Clone(code), Quantity: quantity, UnitPriceMilli: price, EventTimeMS: at.UnixMilli(),
	}
	return nil
}

func kindOf(invoice string, quantity, price int64) event.Kind {
	switch {
	case strings.HasPrefix(invoice, "C"):
		return event.Cancellation
	case quantity > 0 && price > 0:
		return event.Sale
	}
	return event.Adjustment
}

// parseMilli reads a decimal with at most three places as thousandths, exactly.
func parseMilli(s string) (int64, error) {
	whole, places, _ := strings.Cut(s, ".")
	if len(places) > 3 {
		return 0, errors.New("has more than three decimal places")
	}
	digits := strings.TrimPrefix(whole, "-")
	if digits == "" || strings.Trim(digits+places, "0123456789") != "" {
		return 0, errors.New("is not a decimal number")
	}
	milli, err := strconv.ParseInt(whole+places+"000"[len(places):], 10, 64)
	if err != nil {
		return 0, errors.New("is too large")
	}
	return milli, nil
}
