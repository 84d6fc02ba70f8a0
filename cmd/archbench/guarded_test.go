package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"archbench/common/eventlog/kafkalog/kafkalogtest"
	"archbench/results"
	broker "archbench/testcontainers"
	"archbench/testcontainers/brokertest"
)

// azureUser is the user of Azure Event Hubs' Kafka endpoint, whose password is
// the connection string.
const azureUser = "$ConnectionString"

// TestGuardedKafka holds that one command runs a workload through a cluster of
// somebody else, by SASL over TLS, and what it says where that cannot be.
func TestGuardedKafka(t *testing.T) {
	const secret = "Endpoint=sb://archbench.example/;SharedAccessKeyName=bench;SharedAccessKey=c2VjcmV0+Lw=="
	authority := kafkalogtest.NewAuthority(t)
	b := brokertest.Guarded(t, broker.Guard{CertificatePEM: authority.CertificatePEM, PrivateKeyPEM: authority.PrivateKeyPEM, Passwords: map[string]string{azureUser: secret}})
	env := []string{passwordVariable + "=" + secret}
	trust, login := "kafka.ca="+authority.File(t), []string{"kafka.sasl=PLAIN", "kafka.user=" + azureUser}
	sets := func(settings ...string) (args []string) {
		for _, s := range settings {
			args = append(args, "--set", s)
		}
		return args
	}
	guarded := func(settings ...string) []string {
		return append(sets(append(settings, login...)...), "--bootstrap", b.Guarded())
	}

	t.Run("refused", func(t *testing.T) {
		for _, c := range []struct {
			name     string
			env      []string
			settings []string
			says     []string
		}{
			{"wrong secret", []string{passwordVariable + "=wrong"}, []string{"kafka.tls=true", trust}, []string{`does not let in user "$ConnectionString" by SASL PLAIN`, "check kafka.user and the password"}},
			{"unknown authority", env, []string{"kafka.tls=true"}, []string{"an authority that is not trusted here", "kafka.ca"}},
			{"plaintext to TLS", env, nil, []string{"speaks TLS", "set kafka.tls=true"}},
		} {
			for _, command := range [][]string{
				{"run", "--scenario", "backfill", "--arch", "kappa", "--broker", "external", "--out", filepath.Join(t.TempDir(), "out")},
				{"serve", "kappa", "--topics", "x", "--data-dir", filepath.Join(t.TempDir(), "data")},
			} {
				args := append(command, guarded(c.settings...)...)
				began := time.Now()
				code, stdout, stderr := outcome(t, program(t, c.env, args...))
				if code != exitRuntime {
					t.Errorf("%s, %s: exit %d, want %d", c.name, command[0], code, exitRuntime)
				}
				sentence(t, args, stderr, append(c.says, b.Guarded())...)
				if strings.Contains(stdout+stderr, secret) {
					t.Errorf("%s, %s: the secret is said", c.name, command[0])
				}
				if took := time.Since(began); took > 10*time.Second {
					t.Errorf("%s, %s: it took %v", c.name, command[0], took)
				}
			}
		}
	})

	t.Run("whole run", func(t *testing.T) {
		out := filepath.Join(t.TempDir(), "out")
		args := append([]string{"run", "--scenario", "backfill", "--policy", "exact", "--events", "20000", "--broker", "external", "--out", out}, guarded("kafka.tls=true", trust, "kafka.compression=zstd")...)
		looked := lookFor(t, secret)
		code, stdout, stderr := outcome(t, program(t, env, args...))
		if code != exitDone {
			t.Fatalf("exit %d: %s\n%s", code, stderr, stdout)
		}
		for _, found := range append(looked(), holding(t, out, secret)...) {
			t.Errorf("the secret stands in %s", found)
		}
		if strings.Contains(stdout+stderr, secret) {
			t.Error("the secret is said")
		}
		r, err := results.Read(out)
		if err != nil {
			t.Fatal(err)
		}
		if r.Broker.Kind != broker.External || r.Broker.Compression != "zstd" || len(r.Measurements) != len(pipelines()) {
			t.Errorf("%+v with %d measurements", r.Broker, len(r.Measurements))
		}
		for _, m := range r.Measurements {
			if d := m.Divergence; d == nil || d.Any() || d.Reads == 0 || d.Final == nil || d.Final.RowsChecked == 0 {
				t.Errorf("%s: %+v", m.Architecture, d)
			}
		}
		operator := operate(t, b)
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) { // a cluster spreads the news when it does
			left, err := operator.ListTopics(t.Context())
			if err == nil && len(left) == 0 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("topics left: %v, %v", left.Names(), err)
			}
		}
	})

	// The password comes from a file, and the user may only do what an
	// architecture needs.
	t.Run("serve by SCRAM", func(t *testing.T) {
		at := fill(t, b.Bootstrap()[0], "scram", 300)
		operator := operate(t, b)
		altered, err := operator.AlterUserSCRAMs(t.Context(), nil, []kadm.UpsertSCRAM{{User: "kappa", Mechanism: kadm.ScramSha512, Iterations: 4096, Password: "hush"}})
		if err = errors.Join(err, altered.Error()); err != nil {
			t.Fatal(err)
		}
		acls := kadm.NewACLs().Topics("scram.").ResourcePatternType(kadm.ACLPatternPrefixed).Allow("User:kappa").AllowHosts("*").Operations(kadm.OpRead, kadm.OpWrite)
		if made, err := operator.CreateACLs(t.Context(), acls); err != nil || made[0].Err != nil {
			t.Fatal(err, made)
		}
		args := append([]string{"serve", "kappa", "--topics", "scram", "--data-dir", filepath.Join(t.TempDir(), "data"), "--bootstrap", b.Guarded()},
			sets("kafka.tls=true", trust, "kafka.sasl=SCRAM-SHA-512", "kafka.user=kappa", "kafka.password_file="+file(t, "password", "hush\n"))...)
		s := start(t, program(t, nil, args...))
		if lines := reach(t, s.address, at); lines != 300 {
			t.Errorf("%d lines, want 300", lines)
		}
		if code := s.stop(t); code != exitDone {
			t.Errorf("exit %d: %s", code, s.stderr)
		}
	})
}

// operate administers a broker by its plain listener.
func operate(t *testing.T, b broker.Broker) *kadm.Client {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Bootstrap()...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return kadm.NewClient(client)
}

// lookFor looks at the arguments of all processes again and again until the
// function returned is called, which says where the text was.
func lookFor(t *testing.T, text string) (stop func() []string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	found := make(chan []string, 1)
	go func() {
		var all []string
		for {
			lines, err := processesNaming(text)
			if err != nil {
				lines = []string{err.Error()}
			}
			all = append(all, lines...)
			select {
			case <-ctx.Done():
				found <- all
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	return func() []string {
		cancel()
		return <-found
	}
}

// holding lists the files below a directory that hold a text. The environment of
// processes is not looked at: it is where secrets come from.
func holding(t *testing.T, dir, text string) (found []string) {
	t.Helper()
	looked := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if strings.Contains(string(content), text) {
			found = append(found, path)
		}
		looked++
		return err
	})
	if err != nil || looked < 10 {
		t.Fatalf("%d files in %s: %v", looked, dir, err)
	}
	return found
}
