package portcullis_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	portcullis "github.com/portcullis/portcullis/clients/go"
	"github.com/portcullis/portcullis/clients/go/internal/testserver"
	portcullisv1 "github.com/portcullis/portcullis/clients/go/portcullis/v1"
)

// Longer than any test takes.
const long = time.Hour

func valid(context.Context, *portcullisv1.VerifyRequest) (*portcullisv1.VerifyResponse, error) {
	return &portcullisv1.VerifyResponse{Valid: true, Verdict: portcullisv1.Verdict_VERDICT_VALID}, nil
}

func newClient(t *testing.T, options ...portcullis.Option) *portcullis.Client {
	t.Helper()
	client, err := portcullis.New(append([]portcullis.Option{
		portcullis.WithRootKey(testserver.RootKey), portcullis.WithTimeout(long),
	}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func verify(client *portcullis.Client) error {
	_, err := client.Verification().Verify(context.Background(), &portcullisv1.VerifyRequest{Key: "key"})
	return err
}

func TestSettingsThatAreWrong(t *testing.T) {
	t.Setenv("PORTCULLIS_SERVER", "")
	t.Setenv("PORTCULLIS_ROOT_KEY", "")
	withKey := portcullis.WithRootKey(testserver.RootKey)
	for name, test := range map[string]struct {
		options []portcullis.Option
		says    string
	}{
		"no root key":    {nil, "PORTCULLIS_ROOT_KEY"},
		"blank root key": {[]portcullis.Option{portcullis.WithRootKey(" \n")}, "PORTCULLIS_ROOT_KEY"},
		"odd root key":   {[]portcullis.Option{portcullis.WithRootKey("root\x7fkey")}, "characters"},
		"plaintext":      {[]portcullis.Option{withKey, portcullis.WithAddresses("http://10.0.0.1:1")}, "plain text"},
		"plaintext, and how to allow it": {
			[]portcullis.Option{withKey, portcullis.WithAddresses("http://10.0.0.1:1")}, "PORTCULLIS_ALLOW_PLAINTEXT=true"},
		"a target of gRPC": {
			[]portcullis.Option{withKey, portcullis.WithAddresses("dns:///localhost:1")}, "http://HOST:PORT or https://HOST:PORT"},
		"mixed schemes": {
			[]portcullis.Option{withKey, portcullis.WithAddresses("http://localhost:1", "https://localhost:1")}, "all https"},
		"second address": {
			[]portcullis.Option{withKey, portcullis.WithAddresses("http://localhost:1", "localhost:1")}, "address 2"},
		"no certificate": {[]portcullis.Option{
			withKey, portcullis.WithAddresses("https://localhost:1"), portcullis.WithCACertificates([]byte("x"))}, "PEM"},
		"second in plaintext": {[]portcullis.Option{
			withKey, portcullis.WithAddresses("http://127.0.0.1:1", "http://[::ffff:127.0.0.1]:1")}, "address 2"},
		"no timeout":       {[]portcullis.Option{withKey, portcullis.WithTimeout(0)}, "WithTimeout"},
		"negative timeout": {[]portcullis.Option{withKey, portcullis.WithTimeout(-1)}, "WithTimeout"},
		"absurd timeout":   {[]portcullis.Option{withKey, portcullis.WithTimeout(24*time.Hour + 1)}, "WithTimeout"},
	} {
		_, err := portcullis.New(test.options...)
		if err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, good := range [][]portcullis.Option{
		{withKey, portcullis.WithAddresses("http://10.0.0.1:1"), portcullis.WithAllowPlaintext()},
		{withKey, portcullis.WithAddresses("https://[fe80::1%25eth0]:1")},
		{withKey, portcullis.WithTimeout(24 * time.Hour)},
	} {
		if _, err := portcullis.New(good...); err != nil {
			t.Error(err)
		}
	}
	t.Setenv("PORTCULLIS_ROOT_KEY", testserver.RootKey)
	if _, err := portcullis.New(portcullis.WithRootKey("")); err == nil {
		t.Error("an empty root key became that of the environment")
	}
}

func TestPlaintextByTheEnvironment(t *testing.T) {
	t.Setenv("PORTCULLIS_ROOT_KEY", testserver.RootKey)
	t.Setenv("PORTCULLIS_SERVER", "http://10.0.0.1:1")
	for value, says := range map[string]string{
		"true": "", "1": "", "yes": "", "on": "",
		"false": "plain text", "0": "plain text", "": "plain text",
		"True, please": `PORTCULLIS_ALLOW_PLAINTEXT must be true or false; is "True, please"`,
	} {
		t.Setenv("PORTCULLIS_ALLOW_PLAINTEXT", value)
		_, err := portcullis.New()
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%q: %v", value, err)
		}
	}
}

func TestSettingsOfTheEnvironment(t *testing.T) {
	sent := ""
	fake := testserver.StartFake(t, func(
		ctx context.Context, request *portcullisv1.VerifyRequest,
	) (*portcullisv1.VerifyResponse, error) {
		sent = strings.Join(metadata.ValueFromIncomingContext(ctx, "authorization"), "|")
		return valid(ctx, request)
	})
	t.Setenv("PORTCULLIS_SERVER", fake.Address)
	t.Setenv("PORTCULLIS_ROOT_KEY", "root_of_the_environment\n")
	client, err := portcullis.New(portcullis.WithTimeout(long))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := verify(client); err != nil {
		t.Fatal(err)
	}
	if sent != "Bearer root_of_the_environment" {
		t.Error(sent)
	}
}

func TestTheRootKeyShowsInNoForm(t *testing.T) {
	client := newClient(t)
	for _, value := range []any{client, *client, portcullis.WithRootKey(testserver.RootKey)} {
		for _, form := range []string{"%v", "%+v", "%#v", "%s"} {
			if shown := fmt.Sprintf(form, value); strings.Contains(shown, testserver.RootKey) {
				t.Errorf("%s of %T shows it", form, value)
			}
		}
	}
	for _, options := range [][]portcullis.Option{
		{portcullis.WithRootKey(testserver.RootKey + "ü")},
		{portcullis.WithRootKey(testserver.RootKey), portcullis.WithAddresses(testserver.RootKey)},
		{portcullis.WithRootKey("x"), portcullis.WithAddresses("https://" + testserver.RootKey + "@localhost:1")},
		{portcullis.WithRootKey("x"), portcullis.WithAddresses("http://" + testserver.RootKey + ":1")},
	} {
		if _, err := portcullis.New(options...); err == nil || strings.Contains(err.Error(), testserver.RootKey) {
			t.Error("no error, or one that shows it")
		}
	}
}

func TestOnlyUnavailableIsTriedAgain(t *testing.T) {
	for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
		fake := testserver.StartFake(t, func(
			context.Context, *portcullisv1.VerifyRequest,
		) (*portcullisv1.VerifyResponse, error) {
			return nil, status.Error(code, "")
		})
		err := verify(newClient(t, portcullis.WithAddresses(fake.Address)))
		if status.Code(err) != code {
			t.Errorf("%v became %v", code, err)
		}
		expect := int64(1)
		if code == codes.Unavailable {
			expect = 4
		}
		if fake.Calls() != expect {
			t.Errorf("%v: %d calls", code, fake.Calls())
		}
	}
}

func TestACallThatSucceedsAtLast(t *testing.T) {
	left := 3
	fake := testserver.StartFake(t, func(
		ctx context.Context, request *portcullisv1.VerifyRequest,
	) (*portcullisv1.VerifyResponse, error) {
		if left > 0 {
			left--
			return nil, status.Error(codes.Unavailable, "")
		}
		return valid(ctx, request)
	})
	if err := verify(newClient(t, portcullis.WithAddresses(fake.Address))); err != nil {
		t.Error(err)
	}
}

func TestDeadlines(t *testing.T) {
	var until time.Time
	fake := testserver.StartFake(t, func(
		ctx context.Context, request *portcullisv1.VerifyRequest,
	) (*portcullisv1.VerifyResponse, error) {
		until, _ = ctx.Deadline()
		return valid(ctx, request)
	})
	client := newClient(t, portcullis.WithAddresses(fake.Address))
	if err := verify(client); err != nil {
		t.Fatal(err)
	}
	if left := time.Until(until); left <= 0 || left > long {
		t.Errorf("without its own: %v", left)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*long)
	defer cancel()
	if _, err := client.Verification().Verify(ctx, &portcullisv1.VerifyRequest{}); err != nil {
		t.Fatal(err)
	}
	if left := time.Until(until); left <= long {
		t.Errorf("its own: %v", left)
	}
}

func TestACallThatIsNotAnswered(t *testing.T) {
	fake := testserver.StartFake(t, func(
		ctx context.Context, _ *portcullisv1.VerifyRequest,
	) (*portcullisv1.VerifyResponse, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	client := newClient(t, portcullis.WithAddresses(fake.Address), portcullis.WithTimeout(50*time.Millisecond))
	if err := verify(client); status.Code(err) != codes.DeadlineExceeded {
		t.Error(err)
	}
}

// callUntil calls until all were asked. One that never is lets the test run into the limit of go test.
func callUntil(t *testing.T, client *portcullis.Client, fakes ...*testserver.Fake) {
	t.Helper()
	for _, fake := range fakes {
		for fake.Calls() == 0 {
			if err := verify(client); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestAllReplicasAreCalled(t *testing.T) {
	first, second := testserver.StartFake(t, valid), testserver.StartFake(t, valid)
	client := newClient(t, portcullis.WithAddresses(first.Address, second.Address))
	callUntil(t, client, first, second)
	first.Stop()
	for range 100 {
		if err := verify(client); err != nil {
			t.Fatalf("one of two has ended: %v", err)
		}
	}
}

func TestAllAddressesOfANameAreCalled(t *testing.T) {
	first := testserver.StartFake(t, valid)
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(first.Address, "http://"))
	if addresses, _ := net.LookupHost("localhost"); len(addresses) < 2 {
		t.Skipf("localhost has not two addresses: %v", addresses)
	}
	second := testserver.StartFakeAt(t, "[::1]:"+port, valid)
	callUntil(t, newClient(t, portcullis.WithAddresses("http://localhost:"+port)), first, second)
}

func TestTheRootKeyGoesPastProxies(t *testing.T) {
	// Nobody listens there.
	const proxy = "HTTPS_PROXY=http://127.0.0.1:1"
	if !slices.Contains(os.Environ(), proxy) {
		// The environment's proxies are read once in a process.
		again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
		again.Env = append(os.Environ(), proxy, "NO_PROXY=", "no_proxy=")
		if output, err := again.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, output)
		}
		return
	}
	fake := testserver.StartFake(t, valid)
	// This machine by a number that is not its loopback's, for which there would be no proxy anyway.
	here := strings.Replace(fake.Address, "127.0.0.1", "0.0.0.0", 1)
	for _, addresses := range [][]string{{here}, {here, here}} {
		client := newClient(t, portcullis.WithAddresses(addresses...), portcullis.WithAllowPlaintext())
		if err := verify(client); err != nil {
			t.Errorf("%v: %v", addresses, err)
		}
	}
}
