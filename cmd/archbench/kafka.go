package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"archbench/common/eventlog/kafkalog"
)

// kafka reads how to reach a cluster. The password stands in no setting: it
// comes from the environment, or from a file that a setting names.
func (o *options) kafka() (kafkalog.Config, error) {
	c := kafkalog.Config{Bootstrap: o.list("bootstrap"), Mechanism: strings.ToUpper(o.text("kafka.sasl")), User: o.text("kafka.user"),
		Compression: o.text("kafka.compression"), Retention: o.duration("kafka.retention")}
	if all := kafkalog.Compressions(); !slices.Contains(all, c.Compression) {
		return c, fmt.Errorf("kafka.compression is %q: did you mean %q? (it may be %s)", c.Compression, nearest(c.Compression, all), strings.Join(all, ", "))
	}
	if c.Retention < 0 {
		return c, fmt.Errorf("kafka.retention is %v: it must not be negative", c.Retention)
	}
	return c, errors.Join(o.sasl(&c), o.tls(&c))
}

// sasl reads the login.
func (o *options) sasl(c *kafkalog.Config) (err error) {
	if c.Mechanism == "" {
		if c.User != "" {
			return fmt.Errorf("kafka.user is %s and kafka.sasl is empty: set kafka.sasl to log in", c.User)
		}
		return nil
	}
	if all := kafkalog.Mechanisms(); !slices.Contains(all, c.Mechanism) {
		return fmt.Errorf("kafka.sasl is %q: did you mean %q? (it may be %s)", c.Mechanism, nearest(c.Mechanism, all), strings.Join(all, ", "))
	}
	if c.Password, err = o.password(); err != nil {
		return err
	}
	if c.User == "" || c.Password == "" {
		return fmt.Errorf("kafka.sasl is %s: it needs kafka.user, and the password in %s or in the file kafka.password_file", c.Mechanism, passwordVariable)
	}
	return nil
}

// password is the login's, from the one place that has it.
func (o *options) password() (string, error) {
	given, path := os.Getenv(passwordVariable), o.text("kafka.password_file")
	switch {
	case path == "":
		return given, nil
	case given != "":
		return "", fmt.Errorf("both %s and kafka.password_file are set: leave one out", passwordVariable)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("kafka.password_file: %w", err)
	}
	password := strings.TrimRight(string(content), "\r\n") // an editor's
	if password == "" || strings.ContainsAny(password, "\r\n") {
		return "", fmt.Errorf("kafka.password_file: %s must hold the password on one line, and nothing else", path)
	}
	return password, nil
}

// tls reads whom to trust.
func (o *options) tls(c *kafkalog.Config) error {
	ca := o.text("kafka.ca")
	if !o.flag("kafka.tls") {
		if ca != "" {
			return errors.New("kafka.ca is given and kafka.tls is false: set kafka.tls=true to speak TLS")
		}
		return nil
	}
	c.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	if ca == "" {
		return nil
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		return fmt.Errorf("kafka.ca: %w", err)
	}
	c.TLS.RootCAs = x509.NewCertPool()
	if !c.TLS.RootCAs.AppendCertsFromPEM(pem) {
		return fmt.Errorf("kafka.ca: %s holds no certificate in PEM form", ca)
	}
	return nil
}
