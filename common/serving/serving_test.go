package serving_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"archbench/common/architecture"
	"archbench/common/coverage"
	"archbench/common/serving"
	"archbench/common/view"
)

// fake answers every view with two rows, one of them hard to encode.
type fake struct {
	announcer *coverage.Announcer
	outcome   architecture.Outcome
	err       error
	ready     bool
	asked     view.Query
	began     chan struct{} // if set, an answer says that it began and waits for finish
	finish    chan struct{}
	status    *architecture.Status // nil: a small one
}

func (f *fake) rows(v view.Name) []view.Row {
	rows := []view.Row{{Num: [view.MaxNums]int64{1, -2, 3}}, {Num: [view.MaxNums]int64{9007199254740993, 2, 3}}}
	for _, c := range v.Schema().Columns {
		if c.Text {
			rows[0].Text, rows[1].Text = "a,\"b\"\nc", "Österreich"
		}
	}
	for i := range rows {
		clear(rows[i].Num[nums(v):])
	}
	return rows
}

// nums is how many integer columns a view has.
func nums(v view.Name) int {
	n := 0
	for _, c := range v.Schema().Columns {
		if !c.Text {
			n++
		}
	}
	return n
}

func (f *fake) Run(ctx context.Context) error { <-ctx.Done(); return nil }
func (f *fake) Answer(_ context.Context, q view.Query) (architecture.Answer, error) {
	f.asked = q
	if f.began != nil {
		f.began <- struct{}{}
		<-f.finish
	}
	at := f.announcer.Latest().Coverage
	return architecture.Answer{View: q.View, Rules: 2, Coverage: at, Seam: &at, Rows: f.rows(q.View)}, f.err
}
func (f *fake) Coverage() *coverage.Announcer { return f.announcer }
func (f *fake) Reprocess(context.Context, view.Rules) (architecture.Outcome, error) {
	return f.outcome, f.err
}
func (f *fake) Status() architecture.Status {
	if f.status != nil {
		return *f.status
	}
	return architecture.Status{Architecture: "fake", Ready: f.ready, Lag: 7, State: map[string]int64{"rows": 5}, Coverage: f.announcer.Latest().Coverage,
		Reprocess: &architecture.Progress{Running: true, Done: 3, Total: 9}}
}

func serve(t *testing.T, token string) (*fake, *serving.Client, *httptest.Server) {
	t.Helper()
	f := &fake{announcer: coverage.NewAnnouncer()}
	f.announcer.Announce(coverage.Coverage{Orders: coverage.Vector{1, 2}, Customers: coverage.Vector{3, 4}}, 1)
	s, err := serving.NewServer(f, "127.0.0.1:0", token, nil)
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s.Handler())
	t.Cleanup(h.Close)
	c := serving.NewClient(h.URL, token)
	t.Cleanup(c.Close)
	return f, c, h
}

func TestAnswersSurviveTheWire(t *testing.T) {
	f, c, _ := serve(t, "secret")
	for _, v := range view.Names() {
		from, to := int64(-5), int64(7)
		q := view.Query{View: v, From: &from, To: &to, Last: 3, Limit: 4}
		body, err := c.AnswerBody(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(q, f.asked); d != "" {
			t.Errorf("%s: the question changed: %s", v, d)
		}
		a, err := serving.ParseAnswer(body)
		if err != nil {
			t.Fatal(err)
		}
		at := f.announcer.Latest().Coverage
		if d := cmp.Diff(architecture.Answer{View: v, Rules: 2, Coverage: at, Seam: &at, Rows: f.rows(v)}, a); d != "" {
			t.Errorf("%s: %s", v, d)
		}
		if h, err := serving.ParseAnswerHead(body); err != nil || !h.Coverage.Equal(at) || h.Rules != 2 {
			t.Errorf("%s: head %+v %v", v, h, err)
		}
		var b bytes.Buffer
		got, err := c.CopyCSV(t.Context(), v, &b)
		if err != nil || got.View != v || got.Rules != 2 || !got.Coverage.Equal(at) || got.Seam == nil || !got.Seam.Equal(at) {
			t.Fatalf("%s as CSV: %+v %v", v, got, err)
		}
		rows, err := v.Schema().ReadCSV(&b)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(f.rows(v), rows); d != "" {
			t.Errorf("%s as CSV: %s", v, d)
		}
	}
}

func TestCoverageStream(t *testing.T) {
	f, c, _ := serve(t, "")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	got := make(chan serving.Announced)
	go func() {
		defer close(got)
		c.Listen(ctx, func(a serving.Announced) {
			select {
			case got <- a:
			case <-ctx.Done():
			}
		})
	}()
	if a := <-got; a.Coverage.Sum() != 10 || a.Rules != 1 {
		t.Errorf("first %+v", a)
	}
	f.announcer.Announce(coverage.Coverage{Orders: coverage.Vector{2, 2}, Customers: coverage.Vector{3, 4}}, 2)
	if a := <-got; a.Coverage.Sum() != 11 || a.Rules != 2 {
		t.Errorf("second %+v", a)
	}
	if at, rules, err := c.Coverage(ctx); err != nil || at.Sum() != 11 || rules != 2 {
		t.Errorf("coverage %v %d %v", at, rules, err)
	}
}

func TestReprocessCodes(t *testing.T) {
	f, c, h := serve(t, "")
	for _, want := range []architecture.Outcome{architecture.Started, architecture.Served, architecture.Busy} {
		f.outcome = want
		if got, err := c.Reprocess(t.Context(), 2); got != want || err != nil {
			t.Errorf("%d became %d, %v", want, got, err)
		}
	}
	f.err = architecture.ErrHistoryGone
	if _, err := c.Reprocess(t.Context(), 2); !errors.Is(err, architecture.ErrHistoryGone) {
		t.Errorf("history gone became %v", err)
	}
	f.err = architecture.ErrEnded
	if got, body := request(t, "POST", h.URL+"/v1/rules/2", nil); got != 503 || !strings.Contains(body, "again") {
		t.Errorf("after the end: %d %s", got, body)
	}
	f.err = architecture.ErrHistoryGone
	for path, code := range map[string]int{"/v1/rules/3": 404, "/v1/rules/x": 404, "/v1/rules/2": 422} {
		if got, _ := request(t, "POST", h.URL+path, nil); got != code {
			t.Errorf("POST %s: %d, want %d", path, got, code)
		}
	}
}

func request(t *testing.T, method, url string, change func(*http.Request)) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(r)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestBadRequests(t *testing.T) {
	f, _, h := serve(t, "")
	for path, want := range map[string]struct {
		code int
		says string
	}{
		"/v1/views/sales":                           {404, "top_products"},
		"/v1/views/top_products?form=1":             {400, "from, to, last and limit"},
		"/v1/views/top_products?from=x":             {400, "integer"},
		"/v1/views/top_products?last=0":             {400, "between 1"},
		"/v1/views/top_products?limit=-1":           {400, "between 1"},
		"/v1/views/top_products?last=1&last=2":      {400, "2 times"},
		"/v1/views/top_products?from=1.5":           {400, "integer"},
		"/v1/views/top_products?to=9" + nines:       {400, "integer"},
		"/v1/views/top_products?from=%zz":           {400, "cannot be read"},
		"/v1/views/top_products?last=1;limit=2":     {400, "cannot be read"},
		"/v1/coverage?from=1":                       {400, "takes no parameters"},
		"/v1/nothing":                               {404, "/v1/views/{view}"},
		"/readyz":                                   {503, "still reading"},
		"/healthz":                                  {200, "alive"},
		"/v1/views/top_products?from=1&to=2&last=3": {200, "columns"},
	} {
		if code, body := request(t, "GET", h.URL+path, nil); code != want.code || !strings.Contains(body, want.says) {
			t.Errorf("GET %s: %d %s, want %d with %q", path, code, body, want.code, want.says)
		}
	}
	if code, body := request(t, "POST", h.URL+"/v1/control/pause", nil); code != 404 || !strings.Contains(body, "--allow-control") {
		t.Errorf("control: %d %s", code, body)
	}
	f.ready = true
	if code, _ := request(t, "GET", h.URL+"/readyz", nil); code != 200 {
		t.Errorf("ready: %d", code)
	}
}

func TestRefusalsAreJSON(t *testing.T) {
	_, _, h := serve(t, "")
	for _, c := range []struct {
		method, path string
		change       func(*http.Request)
		code         int
	}{
		{"POST", "/v1/views/top_products", nil, 405},
		{"DELETE", "/v1/rules/1", nil, 405},
		{"GET", "/v1/rules/1", nil, 405},
		{"PUT", "/healthz", nil, 405},
		{"GET", "/", nil, 404},
		{"GET", "/v1/views/", nil, 404},
		{"GET", "/healthz", func(r *http.Request) { r.Host = "evil.example" }, 421},
		{"GET", "/healthz", func(r *http.Request) { r.Host = "evil.example:80" }, 421},
		{"POST", "/v1/rules/2", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, 403},
		{"POST", "/v1/rules/2", func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }, 403},
		{"POST", "/v1/rules/2", func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(strings.Repeat("x", 1<<17))), 1<<17
		}, 413},
	} {
		code, body := request(t, c.method, h.URL+c.path, c.change)
		var refusal struct{ Error string }
		if err := json.Unmarshal([]byte(body), &refusal); code != c.code || err != nil || refusal.Error == "" {
			t.Errorf("%s %s: %d %s, want %d and a sentence in JSON", c.method, c.path, code, body, c.code)
		}
	}
	for _, host := range []string{"localhost", "LOCALHOST:99", "127.0.0.1:1", "[::1]:5", "[::1]"} {
		if code, body := request(t, "GET", h.URL+"/healthz", func(r *http.Request) { r.Host = host }); code != 200 {
			t.Errorf("host %s: %d %s", host, code, body)
		}
	}
}

func TestMetrics(t *testing.T) {
	f, c, h := serve(t, "")
	if _, err := c.AnswerBody(t.Context(), view.Query{View: view.TopProducts}); err != nil {
		t.Fatal(err)
	}
	f.err = errors.New("broken")
	if _, err := c.AnswerBody(t.Context(), view.Query{View: view.TopProducts}); err == nil || !strings.Contains(err.Error(), "top_products cannot be answered: broken") {
		t.Errorf("a failing answer: %v", err)
	}
	code, body := request(t, "GET", h.URL+"/metrics", nil)
	if code != 200 {
		t.Fatalf("%d %s", code, body)
	}
	for _, want := range []string{
		"archbench_lag_records 7", `archbench_state_size{state="rows"} 5`, `archbench_coverage_offset{partition="1",topic="orders"} 2`,
		"archbench_reprocess_done_records 3", "archbench_reprocess_total_records 9", "archbench_reprocess_running 1",
		`archbench_answer_duration_seconds_count{view="top_products"} 1`, `archbench_answer_failures_total{view="top_products"} 1`,
		`archbench_answer_duration_seconds_count{view="spend_alerts"} 0`, "go_goroutines",
	} {
		if !strings.Contains(body, "\n"+want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	if strings.Contains(body, "archbench_batch_runs_total") {
		t.Error("an architecture without a batch layer shows one")
	}
}

const nines = "999999999999999999999"

func TestToken(t *testing.T) {
	_, _, h := serve(t, "secret")
	for token, want := range map[string]int{"": 401, "Bearer wrong": 401, "Bearer secret": 200, "secret": 401} {
		if code, _ := request(t, "GET", h.URL+"/v1/status", func(r *http.Request) { r.Header.Set("Authorization", token) }); code != want {
			t.Errorf("token %q: %d, want %d", token, code, want)
		}
	}
	f := &fake{announcer: coverage.NewAnnouncer()}
	for _, listen := range []string{"0.0.0.0:80", "10.1.2.3:80", ":80", "example.org:80"} {
		if _, err := serving.NewServer(f, listen, "", nil); err == nil || !strings.Contains(err.Error(), serving.TokenVariable) {
			t.Errorf("%s without a token: %v", listen, err)
		}
		if _, err := serving.NewServer(f, listen, "secret", nil); err != nil {
			t.Errorf("%s with a token: %v", listen, err)
		}
	}
}

// FuzzQuery sends any query string: it is answered or refused in the contract's
// form, and what is understood survives the way back.
func FuzzQuery(f *testing.F) {
	f.Add("from=1&to=2&last=3&limit=4")
	f.Add("from=-9223372036854775808")
	f.Add("last=1;limit=%zz")
	a := &fake{announcer: coverage.NewAnnouncer()}
	s, err := serving.NewServer(a, "127.0.0.1:0", "", nil)
	if err != nil {
		f.Fatal(err)
	}
	h := s.Handler()
	f.Fuzz(func(t *testing.T, raw string) {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "http://localhost/v1/views/top_products", nil)
		r.URL.RawQuery = raw
		h.ServeHTTP(w, r)
		var refusal struct{ Error string }
		if err := json.Unmarshal(w.Body.Bytes(), &refusal); err != nil || w.Code != 200 && (w.Code != 400 || refusal.Error == "") {
			t.Fatalf("%q: %d %s", raw, w.Code, w.Body)
		}
		if w.Code != 200 {
			return
		}
		again, err := serving.ParseQuery(view.TopProducts, serving.EncodeQuery(a.asked))
		if err != nil || cmp.Diff(a.asked, again) != "" {
			t.Fatalf("%q: %+v became %+v, %v", raw, a.asked, again, err)
		}
	})
}
