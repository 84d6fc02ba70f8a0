package serving

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"archbench/common/architecture"
	"archbench/common/coverage"
	"archbench/common/view"
)

// Client speaks the contract with any engine behind it.
type Client struct {
	base  string
	token string
	http  *http.Client
}

// NewClient returns a client for a base URL such as http://127.0.0.1:4711.
func NewClient(base, token string) *Client {
	return &Client{strings.TrimSuffix(base, "/"), token, &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// do sends a request and returns the response if its code is one of those wanted.
func (c *Client) do(ctx context.Context, method, path, accept string, want ...int) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, nil)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := c.http.Do(r)
	if err != nil {
		return nil, err
	}
	for _, code := range want {
		if response.StatusCode == code {
			return response, nil
		}
	}
	defer response.Body.Close()
	return nil, fmt.Errorf("%s %s: %s: %s", method, path, response.Status, sentence(response.Body))
}

// sentence is what a refusal says: the contract's error, or the body as it is.
func sentence(body io.Reader) string {
	text, _ := io.ReadAll(io.LimitReader(body, 4<<10)) // the code says enough without it
	var refusal struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(text, &refusal) == nil && refusal.Error != "" {
		return refusal.Error
	}
	return strings.TrimSpace(string(text))
}

// AnswerBody asks for an answer and returns the body as received.
func (c *Client) AnswerBody(ctx context.Context, q view.Query) ([]byte, error) {
	response, err := c.do(ctx, http.MethodGet, "/v1/views/"+string(q.View)+"?"+EncodeQuery(q).Encode(), "application/json", http.StatusOK)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("answer of %s: %w", q.View, err)
	}
	return body, nil
}

// ParseAnswer reads an answer's body. Fields it does not know are ignored.
func ParseAnswer(body []byte) (architecture.Answer, error) {
	var parsed struct {
		head
		Rows [][]json.RawMessage `json:"rows"`
	}
	if err := json.Unmarshal(body, &parsed); err != nil {
		return architecture.Answer{}, fmt.Errorf("answer is not JSON: %w", err)
	}
	name, err := view.ParseName(string(parsed.View))
	if err != nil {
		return architecture.Answer{}, fmt.Errorf("answer: %w", err)
	}
	a := architecture.Answer{View: name, Rules: parsed.Rules, Coverage: parsed.Coverage, Seam: parsed.Seam, Rows: make([]view.Row, len(parsed.Rows))}
	schema := name.Schema()
	if !slices.Equal(parsed.Columns, schema.Header()) {
		return a, fmt.Errorf("answer: the columns of %s are %q, want %q", name, parsed.Columns, schema.Header())
	}
	for i, cells := range parsed.Rows {
		if a.Rows[i], err = schema.ParseJSON(cells); err != nil {
			return a, fmt.Errorf("answer, row %d: %w", i+1, err)
		}
	}
	return a, nil
}

// ParseAnswerHead reads an answer's body without its rows, which is what the
// harness does while traffic runs: an engine had better write them last.
func ParseAnswerHead(body []byte) (architecture.Answer, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	var a architecture.Answer
	start, err := d.Token()
	if err != nil {
		return a, fmt.Errorf("answer is not JSON: %w", err)
	}
	if start != json.Delim('{') {
		return a, fmt.Errorf("answer begins with %v, want a JSON object", start)
	}
	missing := map[string]any{"view": &a.View, "rules": &a.Rules, "coverage": &a.Coverage}
	for d.More() && len(missing) > 0 {
		token, err := d.Token()
		if err != nil {
			return a, fmt.Errorf("answer is not JSON: %w", err)
		}
		key, _ := token.(string) // a key always is
		into, known := missing[key]
		if !known {
			into = &json.RawMessage{}
		}
		if err := d.Decode(into); err != nil {
			return a, fmt.Errorf("answer, %s: %w", key, err)
		}
		delete(missing, key)
	}
	if len(missing) > 0 {
		return a, fmt.Errorf("answer lacks %s", strings.Join(slices.Sorted(maps.Keys(missing)), ", "))
	}
	return a, nil
}

// CopyCSV streams a whole view as CSV and returns the answer that the headers
// tell of, without its rows.
func (c *Client) CopyCSV(ctx context.Context, v view.Name, into io.Writer) (architecture.Answer, error) {
	a := architecture.Answer{View: v}
	response, err := c.do(ctx, http.MethodGet, "/v1/views/"+string(v), "text/csv", http.StatusOK)
	if err != nil {
		return a, err
	}
	defer response.Body.Close()
	if a.Coverage, err = coverage.Parse(response.Header.Get(coverageHeader)); err != nil {
		return a, fmt.Errorf("header %s of %s: %w", coverageHeader, v, err)
	}
	if _, err := fmt.Sscan(response.Header.Get(rulesHeader), &a.Rules); err != nil {
		return a, fmt.Errorf("header %s of %s: %w", rulesHeader, v, err)
	}
	if text := response.Header.Get(seamHeader); text != "" {
		seam, err := coverage.Parse(text)
		if err != nil {
			return a, fmt.Errorf("header %s of %s: %w", seamHeader, v, err)
		}
		a.Seam = &seam
	}
	if _, err := io.Copy(into, response.Body); err != nil {
		return a, fmt.Errorf("read %s as CSV: %w", v, err)
	}
	return a, nil
}

// Status asks for the status.
func (c *Client) Status(ctx context.Context) (s architecture.Status, err error) {
	return s, c.json(ctx, "/v1/status", &s)
}

// Coverage asks for the coverage now.
func (c *Client) Coverage(ctx context.Context) (coverage.Coverage, view.Rules, error) {
	var a announcement
	err := c.json(ctx, "/v1/coverage", &a)
	return a.Coverage, view.Rules(a.Rules), err
}

func (c *Client) json(ctx context.Context, path string, into any) error {
	response, err := c.do(ctx, http.MethodGet, path, "application/json", http.StatusOK)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		return fmt.Errorf("GET %s: %w", path, err)
	}
	return nil
}

// Ready reports whether the engine has reached the log's end as seen at start.
func (c *Client) Ready(ctx context.Context) (bool, error) {
	response, err := c.do(ctx, http.MethodGet, "/readyz", "", http.StatusOK, http.StatusServiceUnavailable)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK, nil
}

// Reprocess asks for other rules.
func (c *Client) Reprocess(ctx context.Context, rules view.Rules) (architecture.Outcome, error) {
	response, err := c.do(ctx, http.MethodPost, fmt.Sprintf("/v1/rules/%d", rules), "", http.StatusAccepted, http.StatusOK, http.StatusConflict, http.StatusUnprocessableEntity)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusAccepted:
		return architecture.Started, nil
	case http.StatusConflict:
		return architecture.Busy, nil
	case http.StatusUnprocessableEntity:
		return 0, fmt.Errorf("%w (%s)", architecture.ErrHistoryGone, sentence(response.Body))
	}
	return architecture.Served, nil
}

// Announced is one announcement as a listener received it.
type Announced struct {
	At       time.Time // received
	Coverage coverage.Coverage
	Rules    view.Rules
}

// Listen calls f for every announcement until the stream or the context ends.
func (c *Client) Listen(ctx context.Context, f func(Announced)) error {
	response, err := c.do(ctx, http.MethodGet, "/v1/coverage", "text/event-stream", http.StatusOK)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	name := ""
	for lines.Scan() { // an event of this stream is one name and one line of data
		field, value, _ := bytes.Cut(lines.Bytes(), []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "event":
			name = string(value)
		case "":
			if len(lines.Bytes()) == 0 { // an empty line ends an event; ":" alone begins a comment
				name = ""
			}
		case "data":
			if name != "coverage" {
				continue
			}
			at := time.Now()
			var a announcement
			if err := json.Unmarshal(value, &a); err != nil {
				return fmt.Errorf("coverage event: %w", err)
			}
			f(Announced{at, a.Coverage, view.Rules(a.Rules)})
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("coverage events: %w", err)
	}
	return io.EOF
}
