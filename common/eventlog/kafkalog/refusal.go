package kafkalog

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"archbench/common/eventlog"
)

// unreachable explains, as somebody who set the connection up needs it, why no
// connection to the cluster came about.
func (c Config) unreachable(ctx context.Context, err error) error {
	at := strings.Join(c.Bootstrap, ",")
	refused := c.refusal(err)
	if refused == err {
		refused = c.misunderstanding(ctx, err)
	}
	if refused == err {
		return fmt.Errorf("no Kafka broker answers at %s: %w", at, err)
	}
	return fmt.Errorf("connect to Kafka at %s: %w", at, refused)
}

// refusal puts in words what a broker, or this side, says no to. Other errors
// are returned as they are.
func (c Config) refusal(err error) error {
	is := func(administration *kerr.Error, reading kafka.Error) bool {
		return errors.Is(err, administration) || errors.Is(err, reading)
	}
	switch {
	case errors.As(err, new(x509.HostnameError)):
		return fmt.Errorf("the broker shows a certificate for another name: address it by a name that its certificate holds (%w)", err)
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return fmt.Errorf("the broker shows a certificate of an authority that is not trusted here: name the PEM file of that authority in kafka.ca (%w)", err)
	case errors.As(err, new(*tls.CertificateVerificationError)):
		return fmt.Errorf("the broker shows a certificate that is not valid (%w)", err)
	case is(kerr.SaslAuthenticationFailed, kafka.SASLAuthenticationFailed):
		return fmt.Errorf("the broker does not let in user %q by SASL %s: check kafka.user and the password (%w)", c.User, c.Mechanism, err)
	case is(kerr.UnsupportedSaslMechanism, kafka.UnsupportedSASLMechanism):
		return fmt.Errorf("the broker does not offer SASL %s: name a mechanism that it offers in kafka.sasl (%w)", c.Mechanism, err)
	case is(kerr.IllegalSaslState, kafka.IllegalSASLState):
		return fmt.Errorf("the broker does not take SASL at this address: leave kafka.sasl out, or name the address where it does (%w)", err)
	}
	return err
}

// denial explains an error which says that the user may not do something to a
// topic. Other errors are returned as they are.
func (c Config) denial(err error, operation, topic string) error {
	if !isDenied(err) {
		return err
	}
	return fmt.Errorf("%w: %s may not %s topic %s, which an ACL has to allow (%w)", eventlog.ErrDenied, c.who(), operation, topic, err)
}

// who is the one that a cluster allows things or does not.
func (c Config) who() string {
	if c.Mechanism == "" {
		return "this client"
	}
	return fmt.Sprintf("user %q", c.User)
}

func isDenied(err error) bool {
	for _, denied := range []error{kerr.TopicAuthorizationFailed, kerr.ClusterAuthorizationFailed, kafka.TopicAuthorizationFailed, kafka.ClusterAuthorizationFailed} {
		if errors.Is(err, denied) {
			return true
		}
	}
	return false
}

// misunderstanding finds out whether the two sides speak different protocols: a
// broker that is addressed wrongly hangs up and cannot say why.
func (c Config) misunderstanding(ctx context.Context, err error) error {
	switch tls := speaksTLS(ctx, c.Bootstrap); {
	case c.TLS == nil && tls == yes:
		return fmt.Errorf("the broker speaks TLS at this address and was addressed in plaintext: set kafka.tls=true (%w)", err)
	case c.TLS != nil && tls == no:
		return fmt.Errorf("the broker does not speak TLS at this address: set kafka.tls=false, or name the address where it does (%w)", err)
	case c.Mechanism == "" && errors.As(err, new(*kgo.ErrFirstReadEOF)):
		return fmt.Errorf("the broker hangs up when asked; it may let in nobody without SASL: set kafka.sasl and kafka.user, and give the password (%w)", err)
	case c.Mechanism != "" && errors.Is(err, io.EOF):
		return fmt.Errorf("the broker hangs up on user %q with SASL %s: check kafka.user and the password (%w)", c.User, c.Mechanism, err)
	}
	return err
}

// answer is what asking about something found.
type answer int

const (
	unknown answer = iota
	yes
	no
)

// probeTimeout bounds the question whether a broker speaks TLS, which a broker
// that does not may leave unanswered.
const probeTimeout = 2 * time.Second

// speaksTLS finds out whether the first address that can be reached speaks TLS.
// An alert is TLS too.
func speaksTLS(ctx context.Context, addresses []string) answer {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	for _, address := range addresses {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err != nil {
			continue
		}
		probe := tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) // whose it is does not matter: nothing is sent
		err = probe.HandshakeContext(ctx)
		conn.Close()
		var failed *net.OpError
		switch {
		case err == nil, errors.As(err, &failed) && failed.Op == "remote error":
			return yes
		case ctx.Err() == nil:
			return no
		}
	}
	return unknown
}
