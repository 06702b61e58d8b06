package guard

import (
	"net/http"
	"slices"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	portcullisv1 "github.com/portcullis/portcullis/clients/go/portcullis/v1"
)

// refusal is what a guard answers to a request that it does not let through.
type refusal struct {
	code    string
	status  int
	grpc    codes.Code
	message string
	// challenge is the error of RFC 6750; empty if there is none to tell.
	challenge string
	// missingScopes is what the key lacks; empty if it is not scopes.
	missingScopes []string
	// retryAfter is in how many seconds to try again; 0 if nobody knows.
	retryAfter int64
}

func unauthenticated(code, challenge, message string) refusal {
	return refusal{
		code: code, status: http.StatusUnauthorized, grpc: codes.Unauthenticated, message: message, challenge: challenge,
	}
}

func forbidden(code, challenge, message string) refusal {
	return refusal{
		code: code, status: http.StatusForbidden, grpc: codes.PermissionDenied, message: message, challenge: challenge,
	}
}

func exhausted(code, message string) refusal {
	return refusal{code: code, status: http.StatusTooManyRequests, grpc: codes.ResourceExhausted, message: message}
}

var (
	missingKey       = unauthenticated("missing_key", "", "An API key is needed, as Authorization: Bearer or X-API-Key.")
	ambiguousKey     = unauthenticated("ambiguous_key", "invalid_request", "More than one credential was sent.")
	invalidKey       = unauthenticated("invalid_key", "invalid_token", "The API key is not valid.")
	denied           = forbidden("denied", "", "The API key may not be used for this.")
	creditsExhausted = exhausted("credits_exhausted", "The API key has too few credits left.")
)

// refusals has those of every verdict that this version knows.
var refusals = map[portcullisv1.Verdict]refusal{
	portcullisv1.Verdict_VERDICT_MALFORMED: invalidKey,
	portcullisv1.Verdict_VERDICT_NOT_FOUND: invalidKey,
	portcullisv1.Verdict_VERDICT_REVOKED:   unauthenticated("revoked_key", "invalid_token", "The API key was revoked."),
	portcullisv1.Verdict_VERDICT_EXPIRED:   unauthenticated("expired_key", "invalid_token", "The API key has expired."),
	portcullisv1.Verdict_VERDICT_DISABLED: unauthenticated(
		"disabled_key", "invalid_token", "The API key is switched off."),
	portcullisv1.Verdict_VERDICT_IP_NOT_ALLOWED: forbidden(
		"ip_not_allowed", "", "The API key may not be used from this address."),
	portcullisv1.Verdict_VERDICT_INSUFFICIENT_SCOPE: forbidden(
		"insufficient_scope", "insufficient_scope", "The API key lacks a scope that this needs."),
	portcullisv1.Verdict_VERDICT_RATE_LIMITED: exhausted(
		"rate_limited", "The API key was used as often as it may be for now."),
	portcullisv1.Verdict_VERDICT_CREDITS_EXHAUSTED: creditsExhausted,
}

// refusalOf is what a verdict other than VALID comes to.
func refusalOf(response *portcullisv1.VerifyResponse) *refusal {
	refused, known := refusals[response.GetVerdict()]
	if !known {
		return &denied
	}
	switch response.GetVerdict() {
	case portcullisv1.Verdict_VERDICT_INSUFFICIENT_SCOPE:
		refused.missingScopes = response.GetMissingScopes()
	case portcullisv1.Verdict_VERDICT_RATE_LIMITED:
		var wait time.Duration
		if next := response.GetRateLimit().GetRetryTime(); next != nil {
			wait = time.Until(next.AsTime())
		}
		refused.retryAfter = wholeSeconds(wait)
	}
	return &refused
}

// unavailable is what a call that failed comes to.
func unavailable(failure *status.Status) *refusal {
	var wait time.Duration
	for _, detail := range failure.Details() {
		if retry, is := detail.(*errdetails.RetryInfo); is {
			wait = retry.GetRetryDelay().AsDuration()
			break
		}
	}
	return &refusal{
		code:       "unavailable",
		status:     http.StatusServiceUnavailable,
		grpc:       codes.Unavailable,
		message:    "API keys cannot be checked just now.",
		retryAfter: min(wholeSeconds(wait), 60),
	}
}

// isOfPortcullis tells whether Portcullis itself made an error, and not the way to it.
func isOfPortcullis(failure *status.Status) bool {
	return slices.ContainsFunc(failure.Details(), func(detail any) bool {
		info, is := detail.(*errdetails.ErrorInfo)
		return is && info.GetDomain() == "portcullis.v1"
	})
}

// wholeSeconds rounds a time to wait up to seconds, of which it is at least one.
func wholeSeconds(wait time.Duration) int64 {
	seconds := int64(wait / time.Second)
	if wait%time.Second > 0 {
		seconds++
	}
	return max(1, seconds)
}
