package serving_test

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"archbench/common/architecture"
	"archbench/common/coverage"
	"archbench/common/serving"
	"archbench/common/view"
)

// listen serves a fake on a real listener until the test or stop ends it.
func listen(t *testing.T, f *fake) (address string, stop context.CancelFunc, ended <-chan error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, err := serving.NewServer(f, l.Addr().String(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	return "http://" + l.Addr().String(), stop, done
}

func TestTheEndLetsAnswersFinishAndEndsStreams(t *testing.T) {
	f := &fake{announcer: coverage.NewAnnouncer(), began: make(chan struct{}), finish: make(chan struct{})}
	f.announcer.Announce(coverage.Zero(2), 1)
	address, stop, ended := listen(t, f)
	c := serving.NewClient(address, "")
	defer c.Close()

	announced := make(chan struct{})
	streamEnded := make(chan error, 1)
	go func() {
		streamEnded <- c.Listen(t.Context(), func(serving.Announced) { close(announced) })
	}()
	<-announced
	answered := make(chan error, 1)
	go func() {
		_, err := c.AnswerBody(t.Context(), view.Query{View: view.SpendAlerts})
		answered <- err
	}()
	<-f.began
	stop()
	if err := <-streamEnded; err == nil {
		t.Error("the stream ended without a word")
	}
	close(f.finish)
	if err := <-answered; err != nil {
		t.Errorf("an answer under way was cut off: %v", err)
	}
	if err := <-ended; err != nil {
		t.Errorf("a clean end: %v", err)
	}
}

func TestStreamOnTheWire(t *testing.T) {
	f := &fake{announcer: coverage.NewAnnouncer()}
	f.announcer.Announce(coverage.Coverage{Orders: coverage.Vector{1}, Customers: coverage.Vector{2}}, 1)
	address, _, _ := listen(t, f)
	r, err := http.NewRequestWithContext(t.Context(), "GET", address+"/v1/coverage", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if got := response.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("content type %q", got)
	}
	lines := bufio.NewScanner(response.Body)
	for _, want := range []string{"event: coverage", `data: {"orders":[1],"customers":[2],"rules":1}`, ""} {
		if !lines.Scan() || lines.Text() != want {
			t.Fatalf("%q, %v, want %q", lines.Text(), lines.Err(), want)
		}
	}
}

func TestLatestWins(t *testing.T) {
	f := &fake{announcer: coverage.NewAnnouncer()}
	f.announcer.Announce(coverage.Zero(1), 1)
	address, _, _ := listen(t, f)
	c := serving.NewClient(address, "")
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	const last = 20_000
	began, events := time.Now(), 0
	c.Listen(ctx, func(a serving.Announced) { // its error is the end that the last one asks for
		if events++; events == 1 {
			for n := int64(1); n <= last; n++ {
				f.announcer.Announce(coverage.Coverage{Orders: coverage.Vector{n}, Customers: coverage.Vector{0}}, 1)
			}
		}
		if a.Coverage.Orders[0] == last {
			cancel()
		}
	})
	if ctx.Err() != context.Canceled {
		t.Fatalf("the latest never came, after %d events", events)
	}
	if most := time.Since(began).Milliseconds() + 2; int64(events) > most {
		t.Errorf("%d events in %d ms", events, most-2)
	}
}

// TestOtherEngines reads what another engine might send within the contract.
func TestOtherEngines(t *testing.T) {
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/coverage":
			w.Write([]byte(": hello\n\nevent:other\ndata:{}\n\nretry: 5\nid: 7\nevent:coverage\ndata:{\"customers\":[3],\"orders\":[4],\"more\":true,\"rules\":2}\n\n"))
		case "/v1/status":
			w.Write([]byte(`{"architecture":"flink","lag":3,"checkpoints":{"n":1}}`))
		case "/v1/rules/2":
			w.WriteHeader(http.StatusUnprocessableEntity)
			w.Write([]byte(`{"error":"retention took it"}`))
		}
	}))
	defer h.Close()
	c := serving.NewClient(h.URL+"/", "")
	defer c.Close()
	var got []serving.Announced
	c.Listen(t.Context(), func(a serving.Announced) { got = append(got, a) }) // ends with the body
	if len(got) != 1 || got[0].Coverage.String() != "orders=4;customers=3" || got[0].Rules != 2 {
		t.Errorf("announced %+v", got)
	}
	if s, err := c.Status(t.Context()); err != nil || s.Architecture != "flink" || s.Lag != 3 {
		t.Errorf("status %+v, %v", s, err)
	}
	if _, err := c.Reprocess(t.Context(), 2); err == nil || !strings.Contains(err.Error(), "retention took it") {
		t.Errorf("reprocess: %v", err)
	}

	const columns = `"columns":["window_start","country","customers"]`
	body := `{"engine":"x","coverage":{"orders":[1],"customers":[2]},"took":{"ms":[1]},"rules":2,"view":"distinct_customers",` + columns + `,"rows":[[0,"Ö<>",9007199254740993]]}`
	a, err := serving.ParseAnswer([]byte(body))
	if err != nil || len(a.Rows) != 1 || a.Rows[0] != (view.Row{Text: "Ö<>", Num: [view.MaxNums]int64{0, 9007199254740993}}) {
		t.Errorf("answer %+v, %v", a, err)
	}
	if head, err := serving.ParseAnswerHead([]byte(body)); err != nil || head.Rules != 2 || head.View != view.DistinctCustomers || head.Coverage.Sum() != 3 {
		t.Errorf("head %+v, %v", head, err)
	}
	for bad, says := range map[string]string{
		strings.Replace(body, `"country","customers"]`, `"customers","country"]`, 1): "columns",
		strings.Replace(body, `"Ö<>"`, "null", 1):                                    "country",
		strings.Replace(body, `"coverage":`, `"covers":`, 1):                         "coverage",
		strings.Replace(body, "distinct_customers", "sales", 1):                      "unknown view",
		`[1]`: "", `{"view":`: "", ``: "",
	} {
		_, err := serving.ParseAnswer([]byte(bad))
		_, headErr := serving.ParseAnswerHead([]byte(bad))
		if says == "coverage" {
			err = headErr
		}
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", bad, err, says)
		}
	}
}

func TestControl(t *testing.T) {
	f := &fake{announcer: coverage.NewAnnouncer()}
	var got string
	s, err := serving.NewServer(f, "127.0.0.1:0", "", func(_ context.Context, what string, args url.Values) (bool, error) {
		got = what + " " + args.Encode()
		if args.Get("name") == "bad" {
			return true, architecture.ErrHistoryGone
		}
		return what == "bug", nil
	})
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s.Handler())
	defer h.Close()
	for path, want := range map[string]int{"bug?name=x": 200, "bug?name=bad": 400, "dance": 404} {
		if code, body := request(t, "POST", h.URL+"/v1/control/"+path, nil); code != want {
			t.Errorf("%s: %d %s, want %d", path, code, body, want)
		}
	}
	if request(t, "POST", h.URL+"/v1/control/bug?name=x", nil); got != "bug name=x" {
		t.Errorf("control was asked for %q", got)
	}
}

func TestListenNames(t *testing.T) {
	f := &fake{announcer: coverage.NewAnnouncer()}
	ask := func(listen, host string) int {
		s, err := serving.NewServer(f, listen, "secret", nil)
		if err != nil {
			t.Fatal(err)
		}
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "http://"+host+"/healthz", nil)
		r.Header.Set("Authorization", "Bearer secret")
		s.Handler().ServeHTTP(w, r)
		return w.Code
	}
	for _, c := range []struct {
		listen, host string
		want         int
	}{
		{"10.1.2.3:80", "10.1.2.3", 200}, {"10.1.2.3:80", "other", 421}, {"Bench.Example:80", "bench.example:80", 200},
		{"0.0.0.0:80", "anything", 200}, {":80", "anything", 200}, {"[::]:80", "anything", 200}, {"127.0.0.9:80", "127.0.0.9", 200},
	} {
		if got := ask(c.listen, c.host); got != c.want {
			t.Errorf("listening at %s, asked as %s: %d, want %d", c.listen, c.host, got, c.want)
		}
	}
	for _, bad := range []string{"nonsense", "127.0.0.1", ""} {
		if _, err := serving.NewServer(f, bad, "secret", nil); err == nil {
			t.Errorf("listen address %q was taken", bad)
		}
	}
}
