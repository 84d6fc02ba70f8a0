package readers

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/klauspost/compress/zstd"
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

// Spool writes entries to a file: for each, the length and JSON of its head and
// the length and bytes of its body. What is compressed is compressed at Close,
// when nothing is being measured any more.
type Spool struct {
	path string
	mu   sync.Mutex
	raw  *os.File
	out  *bufio.Writer
	err  error
}

// NewSpool begins the file that will be at path.
func NewSpool(path string) (*Spool, error) {
	f, err := os.Create(path + ".partial")
	if err != nil {
		return nil, fmt.Errorf("make the spool: %w", err)
	}
	return &Spool{path: path, raw: f, out: bufio.NewWriterSize(f, 1<<20)}, nil
}

// Put adds an entry. An error shows at Close.
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

// Close completes and compresses the file.
func (s *Spool) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := errors.Join(s.err, s.out.Flush())
	if err == nil {
		err = s.compress()
	}
	if err := errors.Join(err, s.raw.Close()); err != nil {
		return fmt.Errorf("write the spool: %w", err)
	}
	return os.Remove(s.raw.Name())
}

func (s *Spool) compress() error {
	if _, err := s.raw.Seek(0, io.SeekStart); err != nil {
		return err
	}
	f, err := os.Create(s.path)
	if err != nil {
		return err
	}
	z, err := zstd.NewWriter(f, zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return errors.Join(err, f.Close())
	}
	_, err = io.Copy(z, s.raw)
	return errors.Join(err, z.Close(), f.Close())
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
	for {
		head, err := part(in)
		if errors.Is(err, io.EOF) {
			return nil
		}
		e := &Entry{}
		if err == nil {
			err = json.Unmarshal(head, e)
		}
		if err == nil {
			e.Body, err = part(in)
		}
		if err != nil {
			return fmt.Errorf("%s is torn: %w", path, noEOF(err))
		}
		if err := f(e); err != nil {
			return err
		}
	}
}

// part reads a length and so many bytes; io.EOF only where nothing more is there.
func part(in *bufio.Reader) ([]byte, error) {
	n, err := binary.ReadUvarint(in)
	if err != nil {
		return nil, err
	}
	b := make([]byte, n)
	_, err = io.ReadFull(in, b)
	return b, noEOF(err)
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
