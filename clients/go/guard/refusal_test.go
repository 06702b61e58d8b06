package guard

import (
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	portcullisv1 "github.com/portcullis/portcullis/clients/go/portcullis/v1"
)

func TestEveryVerdictHasARefusal(t *testing.T) {
	for number, name := range portcullisv1.Verdict_name {
		verdict := portcullisv1.Verdict(number)
		_, known := refusals[verdict]
		isRefusal := verdict != portcullisv1.Verdict_VERDICT_UNSPECIFIED && verdict != portcullisv1.Verdict_VERDICT_VALID
		if known != isRefusal {
			t.Errorf("%s: %v", name, known)
		}
		if isRefusal != (refusalOf(&portcullisv1.VerifyResponse{Verdict: verdict}).code != denied.code) {
			t.Error(name)
		}
	}
	if refused := refusalOf(&portcullisv1.VerifyResponse{Verdict: 99}); refused != &denied {
		t.Errorf("an unknown one: %+v", refused)
	}
}

func TestRetryAfterOfARateLimit(t *testing.T) {
	limited := func(limit *portcullisv1.RateLimitStatus) int64 {
		return refusalOf(&portcullisv1.VerifyResponse{
			Verdict: portcullisv1.Verdict_VERDICT_RATE_LIMITED, RateLimit: limit,
		}).retryAfter
	}
	at := func(wait time.Duration) *portcullisv1.RateLimitStatus {
		return &portcullisv1.RateLimitStatus{RetryTime: timestamppb.New(time.Now().Add(wait))}
	}
	for _, limit := range []*portcullisv1.RateLimitStatus{nil, {}, at(0), at(-time.Hour)} {
		if seconds := limited(limit); seconds != 1 {
			t.Errorf("%v: %d", limit, seconds)
		}
	}
	if seconds := limited(at(time.Hour)); seconds <= 0 || seconds > 3600 {
		t.Error(seconds)
	}
}

func TestWholeSeconds(t *testing.T) {
	for wait, expect := range map[time.Duration]int64{
		-time.Hour: 1, 0: 1, 1: 1, time.Second: 1, time.Second + 1: 2, 59*time.Second + 1: 60, 1<<63 - 1: 9_223_372_037,
	} {
		if seconds := wholeSeconds(wait); seconds != expect {
			t.Errorf("%v: %d", wait, seconds)
		}
	}
}

func TestRetryAfterOfAnError(t *testing.T) {
	for delay, expect := range map[time.Duration]int64{0: 1, 1500 * time.Millisecond: 2, time.Hour: 60} {
		failure, err := status.New(codes.ResourceExhausted, "").WithDetails(
			&errdetails.ErrorInfo{}, &errdetails.RetryInfo{RetryDelay: durationpb.New(delay)})
		if err != nil {
			t.Fatal(err)
		}
		if refused := unavailable(failure); refused.retryAfter != expect {
			t.Errorf("%v: %d", delay, refused.retryAfter)
		}
	}
	twice, err := status.New(codes.ResourceExhausted, "").WithDetails(
		&errdetails.RetryInfo{RetryDelay: durationpb.New(5 * time.Second)},
		&errdetails.RetryInfo{RetryDelay: durationpb.New(9 * time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	if refused := unavailable(twice); refused.retryAfter != 5 {
		t.Errorf("of two, not the first: %d", refused.retryAfter)
	}
	if refused := unavailable(status.New(codes.Internal, "")); refused.retryAfter != 1 {
		t.Error(refused.retryAfter)
	}
}

func TestMissingScopesAreOfOneVerdictOnly(t *testing.T) {
	for number, name := range portcullisv1.Verdict_name {
		verdict := portcullisv1.Verdict(number)
		refused := refusalOf(&portcullisv1.VerifyResponse{Verdict: verdict, MissingScopes: []string{"a"}})
		if (refused.missingScopes != nil) != (verdict == portcullisv1.Verdict_VERDICT_INSUFFICIENT_SCOPE) {
			t.Errorf("%s: %v", name, refused.missingScopes)
		}
	}
	w := httptest.NewRecorder()
	refusalOf(&portcullisv1.VerifyResponse{Verdict: portcullisv1.Verdict_VERDICT_INSUFFICIENT_SCOPE}).write(w, "api")
	if said := w.Body.String() + w.Header().Get("WWW-Authenticate"); strings.Contains(said, "scope=") ||
		strings.Contains(said, "missing_scopes") {
		t.Error(said)
	}
}

func TestARefusalOverHTTP(t *testing.T) {
	refused := *refusalOf(&portcullisv1.VerifyResponse{
		Verdict: portcullisv1.Verdict_VERDICT_INSUFFICIENT_SCOPE, MissingScopes: []string{"a:read", `b:"w\`},
	})
	w := httptest.NewRecorder()
	refused.write(w, `the "best" \ API`)
	const body = `{"error":"insufficient_scope","message":"The API key lacks a scope that this needs.",` +
		`"missing_scopes":["a:read","b:\"w\\"]}`
	if w.Code != 403 || w.Body.String() != body {
		t.Error(w.Code, w.Body)
	}
	for name, expect := range map[string]string{
		"Content-Type":  "application/json",
		"Cache-Control": "no-store",
		"Retry-After":   "",
		"WWW-Authenticate": `Bearer realm="the \"best\" \\ API", error="insufficient_scope", ` +
			`error_description="The API key lacks a scope that this needs.", scope="a:read b:\"w\\"`,
	} {
		if got := w.Header().Get(name); got != expect {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestARefusalOverGRPC(t *testing.T) {
	refused := denied
	refused.missingScopes, refused.retryAfter = []string{"a:read", "b:write"}, 7
	answer := status.Convert(refused.err())
	if answer.Code() != codes.PermissionDenied || answer.Message() != denied.message {
		t.Error(answer)
	}
	isInfo := func(detail any) bool {
		info, is := detail.(*errdetails.ErrorInfo)
		return is && info.GetReason() == "DENIED" && info.GetDomain() == "portcullis.guard" &&
			info.GetMetadata()["missing_scopes"] == "a:read b:write"
	}
	isRetry := func(detail any) bool {
		retry, is := detail.(*errdetails.RetryInfo)
		return is && retry.GetRetryDelay().AsDuration() == 7*time.Second
	}
	if !slices.ContainsFunc(answer.Details(), isInfo) || !slices.ContainsFunc(answer.Details(), isRetry) {
		t.Error(answer.Details()...)
	}
}
