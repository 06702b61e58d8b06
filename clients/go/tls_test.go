package portcullis_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	portcullis "github.com/portcullis/portcullis/clients/go"
	"github.com/portcullis/portcullis/clients/go/internal/testserver"
)

// certify makes a certificate for localhost, by this name only, that signs itself.
func certify(t *testing.T) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "test"},
		NotAfter:              time.Now().Add(24 * time.Hour),
		BasicConstraintsValid: true,
		IsCA:                  true,
		DNSNames:              []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

func TestTLS(t *testing.T) {
	certificate, key := certify(t)
	folder := t.TempDir()
	certificateFile, keyFile := filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key")
	for file, text := range map[string][]byte{certificateFile: certificate, keyFile: key} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	at := testserver.Start(t, "--tls-cert", certificateFile, "--tls-key", keyFile)
	byName := "https://" + strings.Replace(at, "127.0.0.1", "localhost", 1)
	stranger, _ := certify(t)

	trusted := portcullis.WithCACertificates(certificate)
	for _, addresses := range [][]string{{byName}, {byName, "https://localhost:1"}} {
		if err := verify(newClient(t, portcullis.WithAddresses(addresses...), trusted)); err != nil {
			t.Errorf("%v: %v", addresses, err)
		}
	}
	// One that is not trusted is not reached: by then, the other was asked for its health.
	asked, untrusting := newClient(t, portcullis.WithAddresses(byName), trusted), newClient(t, portcullis.WithAddresses(byName))
	for range 2 {
		asked.ReportFailure()
		time.Sleep(time.Second)
		for !untrusting.ReportFailure() {
			time.Sleep(10 * time.Millisecond)
		}
		if asked.ReportFailure() {
			t.Error("health is not asked by the names of the addresses")
		}
	}
	atName := strings.TrimPrefix(byName, "https://")
	notSigned := "the certificate of " + atName + " is not signed by an authority that is trusted here: give its CA by"
	plain := strings.TrimPrefix(testserver.Start(t), "http://")
	for name, test := range map[string]struct {
		says    string
		options []portcullis.Option
	}{
		"the system's authorities": {notSigned, []portcullis.Option{portcullis.WithAddresses(byName)}},
		"another authority": {
			notSigned, []portcullis.Option{portcullis.WithAddresses(byName), portcullis.WithCACertificates(stranger)}},
		"another name": {"certificate", []portcullis.Option{portcullis.WithAddresses("https://" + at), trusted}},
		"http to TLS": {
			"the server at " + at + " speaks TLS: use https://" + at,
			[]portcullis.Option{portcullis.WithAddresses("http://" + at)}},
		"https to plaintext": {
			"the server at " + plain + " does not speak TLS: use http://" + plain,
			[]portcullis.Option{portcullis.WithAddresses("https://" + plain)}},
	} {
		err := verify(newClient(t, test.options...))
		if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAWrongRootKey(t *testing.T) {
	at := testserver.Start(t)
	client := newClient(t, portcullis.WithAddresses("http://"+at), portcullis.WithRootKey("root_of_nobody"))
	if err := verify(client); status.Code(err) != codes.Unauthenticated || strings.Contains(err.Error(), "nobody") {
		t.Error(err)
	}
}
