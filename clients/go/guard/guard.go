// Package guard lets only requests with a good key reach an API, over net/http and over gRPC.
//
//	read := guard.New(client, guard.Options{Keyspace: "default", Scopes: []string{"orders:read"}})
//	mux.Handle("GET /orders", read.Handler(orders))
//
// A guard reads the key from Authorization: Bearer or X-API-Key, asks Portcullis once, and answers by itself what it
// does not let through. What it lets through finds out who asks with [FromContext].
package guard

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	portcullis "github.com/portcullis/portcullis/clients/go"
	portcullisv1 "github.com/portcullis/portcullis/clients/go/portcullis/v1"
)

// Options say what a guard asks of a key. Keyspace must be given.
type Options struct {
	// Scopes the key must all have: up to 100.
	Scopes []string
	// AnyOfScopes are scopes of which the key must have one: up to 100. Empty: no such demand.
	AnyOfScopes []string
	// Keyspace the key must belong to, such as "default"; or [AnyKeyspace]. It must be given.
	Keyspace string
	// Cost is how many credits a request takes: 0 to 1,000,000,000. Nil: 1.
	Cost *int64

	// DangerouslyAllowWhenUnavailable lets requests that carry a key through, unverified, in an outage: while Portcullis
	// cannot be reached, and where it does not answer in time, or answers UNAVAILABLE, while no replica of it is ready.
	// Their [Identity] is not authenticated, and each of them is logged.
	DangerouslyAllowWhenUnavailable bool

	// Realm is what a challenge over HTTP says is guarded: printable ASCII. Empty: "api".
	Realm string
	// ClientIP finds the address that a request over HTTP comes from, for keys that may be used only from some networks;
	// the zero Addr stands for none. Nil: that of the connection's other end, which behind a proxy is the proxy's.
	ClientIP func(*http.Request) netip.Addr

	// Logger is told when Portcullis cannot check a key. Nil: slog.Default().
	Logger *slog.Logger
}

// Guard decides which requests pass. It may be used by many goroutines at once.
type Guard struct {
	client     *portcullis.Client
	portcullis portcullisv1.VerificationServiceClient
	options    Options
}

// New makes a guard that asks by client. A guard costs nothing: have one for each set of options. It panics if
// an option is not as [Options] says, with a message that says what to do.
func New(client *portcullis.Client, options Options) *Guard {
	if err := options.check(); err != nil {
		panic("guard: Options: " + err.Error())
	}
	if options.Realm == "" {
		options.Realm = "api"
	}
	if strings.ContainsFunc(options.Realm, func(r rune) bool { return r < ' ' || r > '~' }) {
		panic("guard: Options: Realm: must be printable ASCII")
	}
	// What the caller does to these later must not change what is asked.
	options.Scopes, options.AnyOfScopes = slices.Clone(options.Scopes), slices.Clone(options.AnyOfScopes)
	if options.Keyspace == AnyKeyspace {
		// As the server spells it.
		options.Keyspace = ""
	}
	if options.Cost != nil {
		options.Cost = new(*options.Cost)
	}
	if options.ClientIP == nil {
		options.ClientIP = func(request *http.Request) netip.Addr { return hostOf(request.RemoteAddr) }
	}
	if options.Logger == nil {
		options.Logger = slog.Default()
	}
	return &Guard{client, client.Verification(), options}
}

// check decides about a request with these values of its two headers: an identity or a refusal.
func (g *Guard) check(ctx context.Context, authorization, apiKey []string, ip netip.Addr) (*Identity, *refusal) {
	key, refused := readKey(authorization, apiKey)
	if refused != nil {
		return nil, refused
	}
	request := &portcullisv1.VerifyRequest{
		Key:            key,
		RequiredScopes: g.options.Scopes,
		AnyOfScopes:    g.options.AnyOfScopes,
		Keyspace:       g.options.Keyspace,
		Cost:           g.options.Cost,
	}
	if ip.IsValid() {
		request.ClientIp = ip.Unmap().WithZone("").String()
	}
	// Without the request's own deadline, and its end: a caller who is in a hurry must not pass for an outage.
	response, err := g.portcullis.Verify(context.WithoutCancel(ctx), request)
	if err != nil {
		return g.unverified(ctx, err)
	}
	if !response.GetValid() {
		return nil, refusalOf(response)
	}
	return identityOf(response), nil
}

// unverified decides about a request whose key could not be checked.
func (g *Guard) unverified(ctx context.Context, err error) (*Identity, *refusal) {
	failure := status.Convert(err)
	why := []slog.Attr{slog.String("code", failure.Code().String()), slog.String("message", failure.Message())}
	if g.options.DangerouslyAllowWhenUnavailable && g.isOutage(failure) {
		g.options.Logger.LogAttrs(ctx, slog.LevelWarn, "portcullis: request let through with its key unchecked", why...)
		return &Identity{}, nil
	}
	g.options.Logger.LogAttrs(ctx, slog.LevelError, "portcullis: key could not be checked", why...)
	return nil, unavailable(failure)
}

// isOutage tells whether a call failed because Portcullis is away. A caller can make single calls slow, such as by keys that
// take long to check: those fail while Portcullis is well.
func (g *Guard) isOutage(failure *status.Status) bool {
	switch failure.Code() {
	case codes.Unavailable:
		// Of a connection; or else Portcullis itself answered.
		return !isOfPortcullis(failure) || g.client.ReportFailure()
	case codes.DeadlineExceeded:
		return g.client.ReportFailure()
	default:
		return false
	}
}

// hostOf is the IP address of an address with a port; none if it has none, as a Unix socket.
func hostOf(address string) netip.Addr {
	at, _ := netip.ParseAddrPort(address)
	return at.Addr()
}
