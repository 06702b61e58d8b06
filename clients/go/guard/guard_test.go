package guard_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	portcullis "github.com/portcullis/portcullis/clients/go"
	"github.com/portcullis/portcullis/clients/go/guard"
	"github.com/portcullis/portcullis/clients/go/internal/testserver"
	portcullisv1 "github.com/portcullis/portcullis/clients/go/portcullis/v1"
)

const key = "the_key_presented"

func newClient(t *testing.T, address string) *portcullis.Client {
	t.Helper()
	client, err := portcullis.New(portcullis.WithAddresses(address), portcullis.WithRootKey(testserver.RootKey),
		portcullis.WithTimeout(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// answering is a fake that always answers so, and what it was asked last.
func answering(t *testing.T, response *portcullisv1.VerifyResponse, err error) (
	*testserver.Fake, func() *portcullisv1.VerifyRequest,
) {
	t.Helper()
	asked := make(chan *portcullisv1.VerifyRequest, 1)
	fake := testserver.StartFake(t, func(
		_ context.Context, request *portcullisv1.VerifyRequest,
	) (*portcullisv1.VerifyResponse, error) {
		select {
		case asked <- request:
		default:
		}
		return response, err
	})
	return fake, func() *portcullisv1.VerifyRequest { return <-asked }
}

// get sends a request with the key to a guarded route, and gives back the answer and the identity that the route saw.
func get(ctx context.Context, g *guard.Guard) (*httptest.ResponseRecorder, *guard.Identity) {
	var seen *guard.Identity
	route := g.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		seen = guard.FromContext(r.Context())
	}))
	request := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
	request.Header.Set("Authorization", "Bearer "+key)
	answer := httptest.NewRecorder()
	route.ServeHTTP(answer, request)
	return answer, seen
}

func TestWhatIsAsked(t *testing.T) {
	fake, asked := answering(t, &portcullisv1.VerifyResponse{Valid: true}, nil)
	client := newClient(t, fake.Address)
	answer, _ := get(t.Context(), guard.New(client, guard.Options{
		Scopes: []string{"a"}, AnyOfScopes: []string{"b"}, Keyspace: "c", Cost: new(int64(0)),
	}))
	request := asked()
	if answer.Code != 200 || request.GetKey() != key || fmt.Sprint(request.GetRequiredScopes()) != "[a]" ||
		fmt.Sprint(request.GetAnyOfScopes()) != "[b]" || request.GetKeyspace() != "c" || request.Cost == nil ||
		request.GetCost() != 0 || request.GetClientIp() != "192.0.2.1" {
		t.Errorf("%d: %v", answer.Code, request)
	}
	for address, expect := range map[netip.Addr]string{
		{}:                                     "",
		netip.MustParseAddr("::ffff:10.0.0.1"): "10.0.0.1",
		netip.MustParseAddr("fe80::1%eth0"):    "fe80::1",
	} {
		get(t.Context(), guard.New(client, guard.Options{Keyspace: "default", ClientIP: func(*http.Request) netip.Addr { return address }}))
		if request := asked(); request.GetClientIp() != expect || request.Cost != nil {
			t.Errorf("%v: %v", address, request)
		}
	}
	if fake.Calls() != 4 {
		t.Errorf("%d calls for 4 requests", fake.Calls())
	}
}

func TestWhatIsAskedStaysAsItWas(t *testing.T) {
	fake, asked := answering(t, &portcullisv1.VerifyResponse{Valid: true}, nil)
	scopes, anyOf, cost := []string{"a"}, []string{"b"}, int64(2)
	g := guard.New(newClient(t, fake.Address), guard.Options{Keyspace: "default", Scopes: scopes, AnyOfScopes: anyOf, Cost: &cost})
	scopes[0], anyOf[0], cost = "z", "z", 0
	get(t.Context(), g)
	request := asked()
	if request.GetRequiredScopes()[0] != "a" || request.GetAnyOfScopes()[0] != "b" || request.GetCost() != 2 {
		t.Error(request)
	}
}

func TestARealmThatNoChallengeCanCarry(t *testing.T) {
	client := newClient(t, "http://127.0.0.1:1")
	for _, realm := range []string{"a\r\nb", "a\tb", "\x7f", "ä"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%q passes", realm)
				}
			}()
			guard.New(client, guard.Options{Keyspace: "default", Realm: realm})
		}()
	}
}

func TestOnlyValidOpens(t *testing.T) {
	for _, response := range []*portcullisv1.VerifyResponse{
		{}, {Verdict: portcullisv1.Verdict_VERDICT_VALID}, {Verdict: 99},
	} {
		fake, _ := answering(t, response, nil)
		g := guard.New(newClient(t, fake.Address), guard.Options{Keyspace: "default", DangerouslyAllowWhenUnavailable: true})
		if answer, seen := get(t.Context(), g); answer.Code != 403 || seen != nil {
			t.Errorf("%v: %d", response, answer.Code)
		}
	}
	fake, _ := answering(t, &portcullisv1.VerifyResponse{Valid: true, Verdict: 99}, nil)
	answer, seen := get(t.Context(), guard.New(newClient(t, fake.Address), guard.Options{Keyspace: "default"}))
	if answer.Code != 200 || seen == nil || !seen.Authenticated {
		t.Error(answer.Code, seen)
	}
}

func TestOnlyAnOutageOpensByDemand(t *testing.T) {
	for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
		fake, _ := answering(t, nil, status.Error(code, "the reason"))
		client := newClient(t, fake.Address)
		// A deadline is one only while Portcullis is not ready.
		isOutage := code == codes.Unavailable
		for _, byDemand := range []bool{false, true} {
			var log bytes.Buffer
			answer, seen := get(t.Context(), guard.New(client, guard.Options{
				Keyspace: "default", DangerouslyAllowWhenUnavailable: byDemand, Logger: slog.New(slog.NewTextHandler(&log, nil)),
			}))
			opens := isOutage && byDemand
			if opens != (answer.Code == 200) || !opens && answer.Code != 503 {
				t.Errorf("%v, %v: %d", code, byDemand, answer.Code)
			}
			if opens != (seen != nil) || opens && (seen.Authenticated || seen.Subject != "") {
				t.Errorf("%v, %v: %+v", code, byDemand, seen)
			}
			level := "level=ERROR"
			if opens {
				level = "level=WARN"
			}
			line := log.String()
			if strings.Count(line, "\n") != 1 || !strings.Contains(line, level) ||
				!strings.Contains(line, "code="+code.String()) || !strings.Contains(line, `the reason`) {
				t.Errorf("%v, %v: %s", code, byDemand, line)
			}
			if strings.Contains(line, key) || strings.Contains(line, testserver.RootKey) {
				t.Errorf("%v, %v: a secret is logged", code, byDemand)
			}
		}
	}
}

func TestRetryAfterIsTheServers(t *testing.T) {
	// This one is tried again first, which must not lose what it says.
	failure, err := status.New(codes.Unavailable, "").WithDetails(
		&errdetails.RetryInfo{RetryDelay: durationpb.New(5 * time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	fake, _ := answering(t, nil, failure.Err())
	answer, _ := get(t.Context(), guard.New(newClient(t, fake.Address), guard.Options{Keyspace: "default"}))
	if answer.Code != 503 || answer.Header().Get("Retry-After") != "5" {
		t.Error(answer.Code, answer.Header())
	}
}

func TestACallerInAHurryIsNoOutage(t *testing.T) {
	fake, _ := answering(t, &portcullisv1.VerifyResponse{Verdict: portcullisv1.Verdict_VERDICT_NOT_FOUND}, nil)
	g := guard.New(newClient(t, fake.Address), guard.Options{Keyspace: "default", DangerouslyAllowWhenUnavailable: true})
	late, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	if answer, seen := get(late, g); answer.Code != 401 || seen != nil {
		t.Errorf("late: %d", answer.Code)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if answer, seen := get(gone, g); answer.Code != 401 || seen != nil {
		t.Errorf("gone: %d", answer.Code)
	}
}

func TestNoIdentityWithoutAGuard(t *testing.T) {
	if identity := guard.FromContext(t.Context()); identity != nil {
		t.Error(identity)
	}
}
