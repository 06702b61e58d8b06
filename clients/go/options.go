package portcullis

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

const (
	// DefaultAddress is where a client calls without [WithAddresses] and PORTCULLIS_SERVER.
	DefaultAddress = "http://127.0.0.1:50051"
	// DefaultTimeout is how long a call may take without [WithTimeout].
	DefaultTimeout = time.Second

	timeoutMax = 24 * time.Hour
)

// Option is one setting of a [Client].
type Option func(*config)

type config struct {
	addresses      []string
	rootKey        string
	caCertificates []byte
	allowPlaintext bool
	timeout        time.Duration
}

// WithAddresses says where Portcullis listens: http://HOST:PORT or https://HOST:PORT, of one replica or several, all
// with the same scheme. A single one whose name has several IP addresses stands for as many replicas; of several, each
// gets one connection. Without it: the variable PORTCULLIS_SERVER, then [DefaultAddress].
func WithAddresses(addresses ...string) Option {
	return func(c *config) { c.addresses = addresses }
}

// WithRootKey gives the root key to call with. Without it: the variable PORTCULLIS_ROOT_KEY.
func WithRootKey(key string) Option {
	return func(c *config) { c.rootKey = key }
}

// WithCACertificates says whose certificates to trust at https addresses, in PEM. Without it: the system's.
func WithCACertificates(pem []byte) Option {
	return func(c *config) { c.caCertificates = pem }
}

// WithAllowPlaintext lets the root key be sent over http to other machines than this, because something else encrypts
// the way there. So does PORTCULLIS_ALLOW_PLAINTEXT=true.
func WithAllowPlaintext() Option {
	return func(c *config) { c.allowPlaintext = true }
}

// WithTimeout says how long a call may take that has no deadline of its own, its retries included: more than 0, at most a
// day. Without it: [DefaultTimeout]. A stream has no deadline but its own.
func WithTimeout(timeout time.Duration) Option {
	return func(c *config) { c.timeout = timeout }
}

// replicas reads the addresses, which share one scheme: there is at least one.
func (c *config) replicas() ([]address, error) {
	texts := c.addresses
	if len(texts) == 0 {
		texts = []string{cmp.Or(os.Getenv("PORTCULLIS_SERVER"), DefaultAddress)}
	}
	replicas := make([]address, len(texts))
	for i, text := range texts {
		replica, err := parseAddress(text)
		if err != nil {
			return nil, fmt.Errorf("portcullis: address %d: %w", i+1, err)
		}
		if !replica.tls && !replica.isLoopback() && !c.allowPlaintext {
			return nil, fmt.Errorf("portcullis: address %d: refusing to send the root key to another machine in plain "+
				"text: use https, or WithAllowPlaintext or PORTCULLIS_ALLOW_PLAINTEXT=true if something else encrypts the way "+
				"there", i+1)
		}
		replicas[i] = replica
		if replica.tls != replicas[0].tls {
			return nil, errors.New("portcullis: the addresses must be all http or all https")
		}
	}
	return replicas, nil
}

// takeEnvironment sets what the variables say and no option does.
func (c *config) takeEnvironment() error {
	if c.allowPlaintext {
		return nil
	}
	switch value := os.Getenv("PORTCULLIS_ALLOW_PLAINTEXT"); value {
	case "true", "1", "yes", "on":
		c.allowPlaintext = true
	case "", "false", "0", "no", "off":
	default:
		return fmt.Errorf("portcullis: PORTCULLIS_ALLOW_PLAINTEXT must be true or false; is %q", value)
	}
	return nil
}

// transport secures connections as the addresses say.
func (c *config) transport(isTLS bool) (credentials.TransportCredentials, error) {
	if !isTLS {
		return diagnosingCredentials{insecure.NewCredentials(), false}, nil
	}
	settings := tls.Config{MinVersion: tls.VersionTLS12}
	if c.caCertificates != nil {
		settings.RootCAs = x509.NewCertPool()
		if !settings.RootCAs.AppendCertsFromPEM(c.caCertificates) {
			return nil, errors.New("portcullis: WithCACertificates: has no certificate in PEM form")
		}
	}
	return diagnosingCredentials{credentials.NewTLS(&settings), true}, nil
}
