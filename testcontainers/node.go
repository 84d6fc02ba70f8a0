package broker

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// node is one Kafka node, as start.sh is told of it.
type node struct {
	number               int // from 1
	port, controllerPort int
	guardedPort          int      // 0: no guarded listener
	jvm                  string   // flags; empty: the script's, which are for measurements
	properties           []string // KEY=VALUE, which win over the script's
}

// soonUp are flags for nodes of tests, which have little to do: half the start is
// spared.
const soonUp = "-Xms128m -Xmx256m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC"

// single is the node that is a cluster by itself.
func single(o Options) (node, error) {
	ports, err := freePorts(3)
	if err != nil {
		return node{}, err
	}
	n := node{number: 1, port: ports[0], controllerPort: ports[1]}
	if o.Guard != nil {
		n.guardedPort, n.jvm = ports[2], soonUp
		n.properties = o.Guard.properties(n)
	}
	return n, nil
}

func (n node) address() string { return loopback(n.port) }

// guarded is the address of the guarded listener, empty if there is none.
func (n node) guarded() string {
	if n.guardedPort == 0 {
		return ""
	}
	return loopback(n.guardedPort)
}

// environment is what start.sh reads.
func (n node) environment() map[string]string {
	e := map[string]string{
		"KAFKA_NODE": strconv.Itoa(n.number), "KAFKA_PORT": strconv.Itoa(n.port), "KAFKA_CONTROLLER_PORT": strconv.Itoa(n.controllerPort),
		"KAFKA_PROPERTIES": strings.Join(n.properties, "\n"),
	}
	if n.jvm != "" {
		e["KAFKA_JVM"] = n.jvm
	}
	return e
}

// Guard is a second listener beside the plain one, SASL over TLS as managed
// clusters have it, and an authorizer. Whoever comes by the plain listener may do
// everything, so tests administer the broker there; SCRAM users are made that
// way too, and need ACLs.
type Guard struct {
	CertificatePEM, PrivateKeyPEM []byte            // of the server
	Passwords                     map[string]string // by user, for SASL PLAIN; these users may do everything
	Session                       time.Duration     // for which a login lasts; 0: for ever
}

// properties are those of a node with the guard.
func (g *Guard) properties(n node) []string {
	const listener = "listener.name.guarded."
	login, super := "org.apache.kafka.common.security.plain.PlainLoginModule required", "User:ANONYMOUS"
	for _, user := range slices.Sorted(maps.Keys(g.Passwords)) {
		login += fmt.Sprintf(" user_%s=%q", user, g.Passwords[user])
		super += ";User:" + user
	}
	p := []string{
		fmt.Sprintf("listeners=PLAINTEXT://%s,CONTROLLER://%s,GUARDED://%s", n.address(), loopback(n.controllerPort), n.guarded()),
		fmt.Sprintf("advertised.listeners=PLAINTEXT://%s,GUARDED://%s", n.address(), n.guarded()),
		"listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,GUARDED:SASL_SSL",
		listener + "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512",
		listener + "plain.sasl.jaas.config=" + escaped(login+";"),
		listener + "scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;",
		listener + "ssl.keystore.type=PEM",
		listener + "ssl.keystore.key=" + escaped(string(g.PrivateKeyPEM)),
		listener + "ssl.keystore.certificate.chain=" + escaped(string(g.CertificatePEM)),
		"authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
		"super.users=" + super,
	}
	if g.Session > 0 {
		p = append(p, fmt.Sprintf("connections.max.reauth.ms=%d", g.Session.Milliseconds()))
	}
	return p
}

// escaped is a value on one line of a properties file.
func escaped(value string) string {
	return strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(value)
}
