package kafkalogtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority is a certificate authority of a test, with the certificate that it
// gave to a server at 127.0.0.1.
type Authority struct {
	PEM                           []byte // of the authority, for those who are to trust it
	CertificatePEM, PrivateKeyPEM []byte // of the server
}

// NewAuthority makes an authority and a server's certificate, good for a day.
func NewAuthority(t testing.TB) Authority {
	t.Helper()
	rootKey, root := newKey(t), &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "archbench test authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	serverKey, server := newKey(t), &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "archbench test broker"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	for _, c := range []*x509.Certificate{root, server} {
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	}
	key, err := x509.MarshalPKCS8PrivateKey(serverKey)
	if err != nil {
		t.Fatal(err)
	}
	return Authority{
		PEM:            block("CERTIFICATE", sign(t, root, root, rootKey, rootKey)),
		CertificatePEM: block("CERTIFICATE", sign(t, server, root, serverKey, rootKey)),
		PrivateKeyPEM:  block("PRIVATE KEY", key),
	}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t testing.TB, c, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, parentKey)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// Server is the server's side of TLS.
func (a Authority) Server(t testing.TB) *tls.Config {
	t.Helper()
	c, err := tls.X509KeyPair(a.CertificatePEM, a.PrivateKeyPEM)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{c}}
}

// Client is the side of a client that trusts this authority alone.
func (a Authority) Client() *tls.Config {
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(a.PEM)
	return &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}
}

// File writes the authority's certificate to a file and returns its path.
func (a Authority) File(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "authority.pem")
	if err := os.WriteFile(path, a.PEM, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
