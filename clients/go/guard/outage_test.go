package guard_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	portcullis "github.com/portcullis/portcullis/clients/go"
	"github.com/portcullis/portcullis/clients/go/guard"
	"github.com/portcullis/portcullis/clients/go/internal/testserver"
	portcullisv1 "github.com/portcullis/portcullis/clients/go/portcullis/v1"
)

const (
	serving    = healthv1.HealthCheckResponse_SERVING
	notServing = healthv1.HealthCheckResponse_NOT_SERVING
	// Longer than any machine takes.
	patience = time.Minute
)

// failing is a fake whose calls end with a status, which has an ErrorInfo of that domain if there is one.
func failing(t *testing.T, code codes.Code, domain string) *testserver.Fake {
	t.Helper()
	failure := status.New(code, "")
	if domain != "" {
		var err error
		if failure, err = failure.WithDetails(&errdetails.ErrorInfo{Reason: "R", Domain: domain}); err != nil {
			t.Fatal(err)
		}
	}
	fake, _ := answering(t, nil, failure.Err())
	return fake
}

// openGuard is one that opens in an outage.
func openGuard(t *testing.T, timeout time.Duration, fakes ...*testserver.Fake) *guard.Guard {
	t.Helper()
	var addresses []string
	for _, fake := range fakes {
		addresses = append(addresses, fake.Address)
	}
	client, err := portcullis.New(portcullis.WithAddresses(addresses...), portcullis.WithRootKey(testserver.RootKey),
		portcullis.WithTimeout(timeout))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return guard.New(client, guard.Options{
		Keyspace: "default", DangerouslyAllowWhenUnavailable: true, Logger: slog.New(slog.DiscardHandler),
	})
}

func opens(t *testing.T, g *guard.Guard) bool {
	t.Helper()
	answer, seen := get(t.Context(), g)
	if answer.Code == 200 {
		return seen != nil && !seen.Authenticated
	}
	if answer.Code != 503 {
		t.Errorf("neither open nor unavailable: %d", answer.Code)
	}
	return false
}

// opensInTime asks until the guard opens.
func opensInTime(t *testing.T, g *guard.Guard) bool {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if opens(t, g) {
			return true
		}
	}
	return false
}

// staysClosed asks until some fakes were asked about their health twice.
func staysClosed(t *testing.T, g *guard.Guard, asked ...*testserver.Fake) bool {
	t.Helper()
	for _, fake := range asked {
		for end := time.Now().Add(patience); fake.HealthCalls() < 2; time.Sleep(10 * time.Millisecond) {
			if opens(t, g) || time.Now().After(end) {
				return false
			}
		}
	}
	return !opens(t, g)
}

func TestUnavailableOfAConnectionOpensAtOnce(t *testing.T) {
	for _, domain := range []string{"", "proxy.example"} {
		fake := failing(t, codes.Unavailable, domain)
		fake.SetReadiness(testserver.Is(serving))
		if !opens(t, openGuard(t, patience, fake)) || fake.HealthCalls() != 0 {
			t.Errorf("%q: closed, or asked %d times", domain, fake.HealthCalls())
		}
	}
	if fake := failing(t, codes.Unavailable, ""); true {
		fake.Stop()
		if !opens(t, openGuard(t, patience, fake)) {
			t.Error("nobody listens: closed")
		}
	}
}

func TestAFailureOfPortcullisOpensWhileNoReplicaIsReady(t *testing.T) {
	hang := func(ctx context.Context) (healthv1.HealthCheckResponse_ServingStatus, error) {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	for _, code := range []codes.Code{codes.Unavailable, codes.DeadlineExceeded} {
		for name, readiness := range map[string]testserver.Readiness{"NOT_SERVING": testserver.Is(notServing), "silent": hang} {
			fake := failing(t, code, "portcullis.v1")
			fake.SetReadiness(readiness)
			g := openGuard(t, patience, fake)
			if opens(t, g) {
				t.Errorf("%v, %s: open before health has answered", code, name)
			}
			if !opensInTime(t, g) {
				t.Errorf("%v, %s: closed", code, name)
			}
		}
	}
}

func TestAFailureOfPortcullisOpensNothingWhileAReplicaIsReady(t *testing.T) {
	for _, code := range []codes.Code{codes.Unavailable, codes.DeadlineExceeded} {
		ready, unready := failing(t, code, "portcullis.v1"), failing(t, code, "portcullis.v1")
		ready.SetReadiness(testserver.Is(serving))
		unready.SetReadiness(testserver.Is(notServing))
		if !staysClosed(t, openGuard(t, patience, unready, ready), ready, unready) {
			t.Errorf("%v: open", code)
		}
		// Who answers is there, whatever it answers.
		without := failing(t, code, "portcullis.v1")
		if !staysClosed(t, openGuard(t, patience, without), without) {
			t.Errorf("%v: open without a health service", code)
		}
	}
}

func TestADeadlineOfTheClientIsOne(t *testing.T) {
	fake := testserver.StartFake(t, func(
		ctx context.Context, _ *portcullisv1.VerifyRequest,
	) (*portcullisv1.VerifyResponse, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	fake.SetReadiness(testserver.Is(serving))
	g := openGuard(t, 50*time.Millisecond, fake)
	if !staysClosed(t, g, fake) {
		t.Error("open")
	}
	fake.SetReadiness(testserver.Is(notServing))
	if !opensInTime(t, g) {
		t.Error("closed")
	}
	fake.SetReadiness(testserver.Is(serving))
	for end := time.Now().Add(patience); opens(t, g); {
		if time.Now().After(end) {
			t.Fatal("open for good")
		}
	}
}

func TestOtherErrorsOpenNothingWhileNoReplicaIsReady(t *testing.T) {
	for _, code := range []codes.Code{codes.ResourceExhausted, codes.Internal, codes.Unauthenticated} {
		fake := failing(t, code, "portcullis.v1")
		fake.SetReadiness(testserver.Is(notServing))
		g := openGuard(t, patience, fake)
		for range 2 {
			if opens(t, g) || fake.HealthCalls() != 0 {
				t.Errorf("%v: open, or asked %d times", code, fake.HealthCalls())
			}
		}
	}
}

func TestAClosedGuardAsksForNoHealth(t *testing.T) {
	fake := failing(t, codes.DeadlineExceeded, "")
	client := newClient(t, fake.Address)
	for range 3 {
		get(t.Context(), guard.New(client, guard.Options{Keyspace: "default", Logger: slog.New(slog.DiscardHandler)}))
	}
	if fake.HealthCalls() != 0 {
		t.Errorf("%d calls", fake.HealthCalls())
	}
}
