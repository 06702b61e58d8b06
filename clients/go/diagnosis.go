package portcullis

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"

	"google.golang.org/grpc/credentials"
)

// useTLS is what a Portcullis with TLS says to plaintext, in a GOAWAY behind its SETTINGS.
const useTLS = "this port speaks TLS"

// tlsAlert is the first byte that a server sends which expected TLS. No server's HTTP/2 begins with it.
const tlsAlert = 0x15

// diagnosingCredentials secure a connection, and say what to do where the scheme of the address or the certificate is the
// reason why that fails.
type diagnosingCredentials struct {
	credentials.TransportCredentials
	tls bool
}

// ClientHandshake implements credentials.TransportCredentials.
func (c diagnosingCredentials) ClientHandshake(
	ctx context.Context, authority string, conn net.Conn,
) (net.Conn, credentials.AuthInfo, error) {
	if !c.tls {
		conn = &plaintextConn{Conn: conn, authority: authority}
	}
	secured, info, err := c.TransportCredentials.ClientHandshake(ctx, authority, conn)
	if err != nil {
		return nil, nil, diagnosed(err, authority)
	}
	return secured, info, nil
}

// Clone implements credentials.TransportCredentials.
func (c diagnosingCredentials) Clone() credentials.TransportCredentials {
	return diagnosingCredentials{c.TransportCredentials.Clone(), c.tls}
}

func diagnosed(err error, authority string) error {
	var noTLS tls.RecordHeaderError
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &noTLS):
		return fmt.Errorf("the server at %s does not speak TLS: use http://%[1]s, and WithAllowPlaintext or "+
			"PORTCULLIS_ALLOW_PLAINTEXT=true if it is another machine", authority)
	case errors.As(err, &unknown):
		return fmt.Errorf("the certificate of %s is not signed by an authority that is trusted here: give its CA by "+
			"WithCACertificates", authority)
	default:
		return err
	}
}

// plaintextConn looks at the first bytes that the server sends.
type plaintextConn struct {
	net.Conn
	authority string
	hasBegun  bool
}

// Read implements net.Conn. gRPC calls it from one goroutine at a time.
func (c *plaintextConn) Read(buffer []byte) (int, error) {
	n, err := c.Conn.Read(buffer)
	if !c.hasBegun && n > 0 {
		c.hasBegun = true
		if buffer[0] == tlsAlert || bytes.Contains(buffer[:n], []byte(useTLS)) {
			return 0, fmt.Errorf("the server at %s speaks TLS: use https://%[1]s", c.authority)
		}
	}
	return n, err
}
