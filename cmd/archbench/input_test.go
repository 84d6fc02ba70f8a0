package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestBadCommandLines(t *testing.T) {
	serve := []string{"serve", "kappa", "--topics", "x", "--data-dir", "d", "--bootstrap", "127.0.0.1:1"}
	with := func(args ...string) []string { return append(serve[:len(serve):len(serve)], args...) }
	elsewhere := func(sets ...string) []string {
		args := []string{"run", "--broker", "external", "--bootstrap", "127.0.0.1:1"}
		for _, s := range sets {
			args = append(args, "--set", s)
		}
		return args
	}
	occupied := file(t, "occupied", "")
	for _, c := range []struct {
		args []string
		says []string
	}{
		{[]string{"rnu"}, []string{`"rnu"`, `did you mean "run"`}},
		{[]string{"run", "--durtion", "5s"}, []string{"--durtion", "did you mean --duration"}},
		{[]string{"run", "duration=5s"}, []string{"takes no arguments"}},
		{[]string{"run", "--rate", "fast"}, []string{`rate is "fast"`, "--rate", "a number"}},
		{[]string{"run", "--duration", "5"}, []string{`"5"`, "a duration such as"}},
		{[]string{"run", "--strict=maybe"}, []string{`"maybe"`, "true or false"}},
		{[]string{"run", "--rate", "0"}, []string{"rate"}},
		{[]string{"run", "--set", "windows.tumblin=1m"}, []string{`"windows.tumblin"`, `did you mean "windows.tumbling"`}},
		{[]string{"run", "--set", "windows=1m"}, []string{"group", "windows.hop_size"}},
		{[]string{"run", "--set", "top_k"}, []string{"KEY=VALUE"}},
		{[]string{"run", "--set", "rate=5", "--rate", "6"}, []string{"given twice"}},
		{[]string{"run", "--set", "windows.hop_size=90s"}, []string{"windows.hop_size", "multiple"}},
		{[]string{"run", "--suite", "quick", "--scenario", "steady"}, []string{"exclude each other"}},
		{[]string{"run", "--duration", "120s"}, []string{"suite quick decides duration itself", "--duration", "--scenario"}},
		{[]string{"run", "--suite", "quick", "--set", "history=5"}, []string{"decides history itself", "--set"}},
		{[]string{"run", "--suite", "huge"}, []string{`"huge"`, "quick"}},
		{[]string{"run", "--set", "disturb.late=1.5"}, []string{"disturb.late is 1.5", "from 0 to 1"}},
		{[]string{"run", "--set", "disturb.poison=-0.1"}, []string{"disturb.poison is -0.1", "from 0 to 1"}},
		{[]string{"run", "--set", "disturb.duplicates=many"}, []string{`disturb.duplicates is "many"`, "a number"}},
		{[]string{"run", "--set", "disturb.skew=NaN"}, []string{"disturb.skew is NaN", "from 0 to 1"}},
		{[]string{"run", "--set", "disturb.late=0.1", "--set", "disturb.lateness=0s"}, []string{"disturb.lateness is 0s", "at least 1ms"}},
		{[]string{"run", "--set", "disturb.out_of_order=0.1", "--set", "disturb.displacement=0"}, []string{"disturb.displacement is 0", "at least 1"}},
		{[]string{"run", "--set", "disturb.schema2=half"}, []string{`disturb.schema2 is "half"`, "true or false"}},
		{[]string{"run", "--set", "disturb.latenes=1m"}, []string{`"disturb.latenes"`, `did you mean "disturb.lateness"`}},
		{[]string{"workload", "--set", "disturb.late=0.6", "--set", "disturb.out_of_order=0.6"}, []string{"more than 1 together"}},
		{[]string{"workload", "--set", "disturb.late_profiles=2"}, []string{"disturb.late_profiles is 2"}},
		{[]string{"run", "--scenario", "stedy"}, []string{`"stedy"`, "steady"}},
		{[]string{"run", "--arch", "lamda"}, []string{`"lamda"`, "lambda"}},
		{[]string{"run", "--broker", "kafka"}, []string{`"kafka"`, "external"}},
		{[]string{"run", "--broker", "external"}, []string{"--bootstrap"}},
		{[]string{"run", "--bootstrap", "127.0.0.1:1"}, []string{"--broker external"}},
		{[]string{"run", "--policy", "bounded"}, []string{"suite quick runs under policy exact", "--scenario"}},
		{[]string{"run", "--suite", "quick", "--set", "policy=bounded"}, []string{"suite quick runs under policy exact", "--scenario"}},
		{[]string{"run", "--scenario", "steady", "--policy", "bounded", "--allowed-lateness", "-1s"}, []string{"allowed_lateness is -1s", "not negative"}},
		{[]string{"run", "--scenario", "steady", "--set", "allowed_lateness=ten"}, []string{`allowed_lateness is "ten"`, "a duration"}},
		{[]string{"run", "--guarantee", "at-least-once"}, []string{"at-least-once does not go with policy exact", "--policy bounded", "--guarantee effectively-once"}},
		{[]string{"run", "--guarantee", "at-most-once"}, []string{"at-most-once does not go with policy exact"}},
		{[]string{"run", "--guarantee", "exactly-once"}, []string{`unknown guarantee "exactly-once"`, "effectively-once"}},
		{[]string{"run", "--policy", "exactly"}, []string{`unknown policy "exactly"`}},
		{[]string{"run", "--out", filepath.Dir(occupied)}, []string{"is not empty", "--out"}},
		{[]string{"run", "--config", "/nonexistent/c.yaml"}, []string{"/nonexistent/c.yaml"}},
		{[]string{"run", "--scenario", "backfill", "--workload", "csv:/nonexistent/lines.csv"}, []string{"/nonexistent/lines.csv"}},
		{[]string{"run", "--scenario", "backfill", "--workload", "online-retail", "--set", "workload.path=/nonexistent/r.csv"}, []string{"/nonexistent/r.csv"}},
		{[]string{"run", "--scenario", "steady", "--workload", "retail"}, []string{`"retail"`, "online-retail"}},
		{elsewhere("kafka.sasl=PLAIN"), []string{"kafka.user", passwordVariable, "kafka.password_file"}},
		{elsewhere("kafka.sasl=PLAN"), []string{`kafka.sasl is "PLAN"`, `did you mean "PLAIN"`, "SCRAM-SHA-512"}},
		{elsewhere("kafka.user=me"), []string{"kafka.user is me and kafka.sasl is empty"}},
		{elsewhere("kafka.sasl=PLAIN", "kafka.user=me", "kafka.password_file=/nonexistent/p"), []string{"kafka.password_file", "/nonexistent/p"}},
		{elsewhere("kafka.sasl=PLAIN", "kafka.user=me", "kafka.password_file="+file(t, "two", "a\nb\n")), []string{"kafka.password_file", "on one line"}},
		{elsewhere("kafka.sasl=PLAIN", "kafka.user=me", "kafka.password_file="+file(t, "none", "\n")), []string{"kafka.password_file", "must hold the password"}},
		{elsewhere("kafka.ca=/ca.pem"), []string{"kafka.tls"}},
		{elsewhere("kafka.tls=true", "kafka.ca=/nonexistent/ca.pem"), []string{"kafka.ca", "/nonexistent/ca.pem"}},
		{elsewhere("kafka.tls=true", "kafka.ca="+occupied), []string{"kafka.ca", "no certificate in PEM form"}},
		{elsewhere("kafka.compression=zst"), []string{`kafka.compression is "zst"`, `did you mean "zstd"`}},
		{elsewhere("kafka.retention=-1s"), []string{"kafka.retention is -1s", "negative"}},
		{elsewhere("topics=our team"), []string{"topics must be a prefix of topic names"}},
		{[]string{"run", "--set", "kafka.tls=true"}, []string{"kafka.tls is true and the broker is auto", "--broker external"}},
		{[]string{"broker", "--broker", "container", "--set", "kafka.user=me"}, []string{"kafka.user is me", "--broker external"}},
		{[]string{"serve"}, []string{"lambda, kappa or unified"}},
		{[]string{"serve", "flink"}, []string{`"flink"`, "lambda, kappa or unified"}},
		{[]string{"serve", "kappa", "--topics", "x", "--bootstrap", "127.0.0.1:1"}, []string{"--data-dir"}},
		{with("--set", "kafka.sasl=KERBEROS"), []string{`kafka.sasl is "KERBEROS"`, "PLAIN"}},
		{with("--set", "kafka.compression=brotli"), []string{`kafka.compression is "brotli"`}},
		{with("--set", "log_format=xml"), []string{`log_format is "xml"`, "text or json"}},
		{with("--policy", "bounded", "--allowed-lateness", "1500us"), []string{"allowed_lateness is 1.5ms", "whole number of milliseconds"}},
		{with("--policy", "exact", "--guarantee", "at-most-once"), []string{"at-most-once does not go with policy exact"}},
		{with("--faults", "kappa.between-commits"), []string{`"kappa.between-commits"`, "known are"}}, // nothing comes between them
		{with("--rules", "3"), []string{"unknown rules 3"}},
		{with("--trigger", "0s"), []string{"trigger", "positive"}},
		{with("--faults", "kappa.nowhere"), []string{`"kappa.nowhere"`, "known are"}},
		{with("--listen", "0.0.0.0:0"), []string{"ARCHBENCH_TOKEN"}},
		{with("--listen", "here"), []string{`"here"`, "HOST:PORT"}},
		{[]string{"report"}, []string{"one directory"}},
		{[]string{"report", "/nonexistent"}, []string{"/nonexistent/result.json"}},
		{[]string{"report", filepath.Dir(file(t, "result.json", `{"schema":"other"}`))}, []string{"result.json", "no result of this version"}},
		{[]string{"workload", "--workload", "retail"}, []string{`"retail"`, "synthetic"}},
		{[]string{"workload", "--workload", "csv:/nonexistent/lines.csv"}, []string{"/nonexistent/lines.csv"}},
		{[]string{"workload", "--events", "-1"}, []string{"negative"}},
		{[]string{"broker", "container"}, []string{`"container"`, "--"}},
	} {
		code, _, stderr := inProcess(t, c.args...)
		if code != exitUsage {
			t.Errorf("%q: exit %d, want %d", c.args, code, exitUsage)
		}
		sentence(t, c.args, stderr, c.says...)
	}
}

func TestBadFilesAndVariables(t *testing.T) {
	for content, says := range map[string][]string{
		"windows:\n  tumblin: 1m\n": {`"windows.tumblin"`, `did you mean "windows.tumbling"`},
		"windows: 1m\n":             {"group", "windows.top"},
		"tope: 3\n":                 {`"tope"`, "did you mean"},
		"strict: maybe\n":           {`strict is "maybe"`, "true or false", "c.yaml"},
		"top_k: [1, 2]\n":           {"top_k", "an integer"},
		"rate: {a: 1}\n":            {"rate is", "a single value"},
		"rate: 1\nrate: 2\n":        {"c.yaml", "already"},
		"- 1\n":                     {"c.yaml"},
	} {
		path := file(t, "c.yaml", content)
		args := []string{"config", "--config", path}
		code, _, stderr := inProcess(t, args...)
		if code != exitUsage {
			t.Errorf("%q: exit %d", content, code)
		}
		sentence(t, args, strings.ReplaceAll(strings.TrimSpace(stderr), "\n", " ")+"\n", says...)
	}
	for variable, says := range map[string]string{"ARCHBENCH_TOPK": "did you mean ARCHBENCH_TOP_K", "ARCHBENCH_RATE": "ARCHBENCH_RATE"} {
		t.Run(variable, func(t *testing.T) {
			t.Setenv(variable, "lots")
			args := []string{"config"}
			code, _, stderr := inProcess(t, args...)
			if code != exitUsage {
				t.Errorf("%s: exit %d", variable, code)
			}
			sentence(t, args, stderr, says)
		})
	}
	t.Run("others", func(t *testing.T) {
		for _, other := range []string{"ARCHBENCH_TOKEN", "ARCHBENCH_KAFKA_PASSWORD", "ARCHBENCH_KAFKA_HOME", "ARCHBENCH_REQUIRE", "ARCHBENCH_TEST_X"} {
			t.Setenv(other, "x")
		}
		if code, _, stderr := inProcess(t, "config"); code != exitDone {
			t.Errorf("exit %d: %s", code, stderr)
		}
	})
}

const csvHeader = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"

func TestDamagedLineIsNamed(t *testing.T) {
	path := file(t, "lines.csv", csvHeader+
		"536365,85123A,HOLDER,6,2010-12-01 08:26:00,2.55,17850,United Kingdom\n"+
		"536365,71053,LANTERN,six,2010-12-01 08:26:00,3.39,17850,United Kingdom\n")
	for _, args := range [][]string{
		{"workload", "--workload", "csv:" + path},
		{"run", "--scenario", "backfill", "--arch", "kappa", "--broker", "embedded", "--workload", "csv:" + path, "--out", filepath.Join(t.TempDir(), "out")},
	} {
		code, _, stderr := outcome(t, program(t, nil, args...))
		if code != exitRuntime {
			t.Errorf("%q: exit %d, want %d", args, code, exitRuntime)
		}
		sentence(t, args, stderr, path+" line 3", "six")
	}
}

func TestNoDockerWhenAskedFor(t *testing.T) {
	env := []string{"DOCKER_HOST=unix:///nonexistent"}
	for _, args := range [][]string{
		{"broker", "--broker", "container"},
		{"run", "--scenario", "backfill", "--arch", "kappa", "--broker", "container", "--out", filepath.Join(t.TempDir(), "out")},
	} {
		code, _, stderr := outcome(t, program(t, env, args...))
		if code != exitRuntime {
			t.Errorf("%q: exit %d, want %d", args, code, exitRuntime)
		}
		sentence(t, args, stderr, "ocker")
	}
}

func TestUnreachableBroker(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	l.Close() // now nobody listens there
	for _, args := range [][]string{
		{"run", "--scenario", "backfill", "--arch", "kappa", "--broker", "external", "--bootstrap", nobody, "--out", filepath.Join(t.TempDir(), "out")},
		{"serve", "kappa", "--topics", "x", "--data-dir", t.TempDir(), "--bootstrap", nobody},
	} {
		t.Run(args[0], func(t *testing.T) {
			t.Parallel()
			code, _, stderr := outcome(t, program(t, nil, args...))
			if code != exitRuntime {
				t.Errorf("%q: exit %d, want %d", args, code, exitRuntime)
			}
			sentence(t, args, stderr, nobody)
		})
	}
}

func TestPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	args := []string{"serve", "lambda", "--topics", "x", "--data-dir", t.TempDir(), "--bootstrap", "127.0.0.1:1", "--listen", l.Addr().String()}
	code, _, stderr := inProcess(t, args...)
	if code != exitRuntime {
		t.Errorf("exit %d, want %d", code, exitRuntime)
	}
	sentence(t, args, stderr, l.Addr().String(), "in use")
}

func TestHelpNamesEveryFlagAndCommand(t *testing.T) {
	_, help, _ := inProcess(t, "--help")
	for _, c := range rootCommand().Commands() {
		if !strings.Contains(help, c.Short) {
			t.Errorf("the help lacks %s", c.Name())
		}
	}
	_, run, _ := inProcess(t, "config", "--help")
	for _, s := range settings() {
		if s.flag != "" && !strings.Contains(run, "--"+s.flag) {
			t.Errorf("the help lacks --%s", s.flag)
		}
	}
	if code, version, _ := inProcess(t, "version"); code != exitDone || !strings.HasPrefix(version, "archbench ") {
		t.Errorf("version: %d %q", code, version)
	}
}

func TestWorkloadPrintsEvents(t *testing.T) {
	code, out, said := inProcess(t, "workload", "--events", "20", "--seed", "3")
	if lines := strings.Count(out, "\n"); code != exitDone || lines != 20 || !strings.Contains(said, "seed: 3") {
		t.Errorf("exit %d, %d lines, %q", code, lines, said)
	}
	again := ""
	if _, again, _ = inProcess(t, "workload", "--events", "20", "--seed", "3"); again != out {
		t.Error("the same seed gave other events")
	}
	if _, other, _ := inProcess(t, "workload", "--events", "20", "--seed", "4"); other == out {
		t.Error("another seed gave the same events")
	}
	args := []string{"workload", "--events", "200", "--seed", "3", "--set", "disturb.duplicates=0.5", "--set", "disturb.schema2=true"}
	_, out, said = inProcess(t, args...)
	if strings.Count(out, `"channel"`) < 50 || !strings.Contains(said, "disturb.duplicates: 0.5") || !strings.Contains(said, "disturb.schema2: from event 100") {
		t.Errorf("%q\n%s", said, out)
	}
	if _, again, _ = inProcess(t, args...); again != out {
		t.Error("the same seed gave other disturbances")
	}
	if _, err := os.Stat("results"); err == nil {
		t.Error("showing a workload left a directory")
	}
}
