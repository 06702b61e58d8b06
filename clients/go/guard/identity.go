package guard

import (
	"context"
	"strings"
	"time"

	portcullisv1 "github.com/portcullis/portcullis/clients/go/portcullis/v1"
)

// Identity says who sent a request that a guard let through.
type Identity struct {
	// Authenticated is true for a verified key. It is false, and all else zero, for a request that was let through because
	// of DangerouslyAllowWhenUnavailable.
	Authenticated bool
	// KeyID is the id of the key, which is no secret.
	KeyID string
	// Keyspace of the key.
	Keyspace string
	// Subject is whom the key acts for.
	Subject string
	// Scopes of the key.
	Scopes []string
	// Claims of the key, as encoding/json would read them.
	Claims map[string]any
	// ExpireTime is when the key expires; the zero time if it never does.
	ExpireTime time.Time
	// RateLimit is what is left of the limit that is nearest to its end; nil for a key without limits.
	RateLimit *portcullisv1.RateLimitStatus
	// CreditsRemaining is how many credits are left, as far as the replica that answered knows; nil for a key without
	// credits.
	CreditsRemaining *int64
}

// UserID is the subject if it is a user's, which begins with "user_"; otherwise empty.
func (i *Identity) UserID() string { return i.subjectOf("user_") }

// OrgID is the subject if it is an organisation's, which begins with "org_"; otherwise empty.
func (i *Identity) OrgID() string { return i.subjectOf("org_") }

func (i *Identity) subjectOf(kind string) string {
	if !strings.HasPrefix(i.Subject, kind) {
		return ""
	}
	return i.Subject
}

func identityOf(response *portcullisv1.VerifyResponse) *Identity {
	identity := &Identity{
		Authenticated:    true,
		KeyID:            response.GetKeyId(),
		Keyspace:         response.GetKeyspace(),
		Subject:          response.GetSubject(),
		Scopes:           response.GetScopes(),
		Claims:           response.GetClaims().AsMap(),
		RateLimit:        response.GetRateLimit(),
		CreditsRemaining: response.CreditsRemaining,
	}
	if response.ExpireTime != nil {
		identity.ExpireTime = response.GetExpireTime().AsTime()
	}
	return identity
}

type contextKey struct{}

// FromContext is who sent the request of this context; nil if no guard let it through.
func FromContext(ctx context.Context) *Identity {
	identity, _ := ctx.Value(contextKey{}).(*Identity)
	return identity
}

func withIdentity(ctx context.Context, identity *Identity) context.Context {
	return context.WithValue(ctx, contextKey{}, identity)
}
