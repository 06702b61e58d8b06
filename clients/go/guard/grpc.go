package guard

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Methods says which guard each method of a gRPC server has. Methods go by their full names, as in
// "/orders.v1.Orders/List".
//
//	methods := guard.Methods{Default: read, Guards: map[string]*guard.Guard{"/orders.v1.Orders/Cancel": write}}
//	grpc.NewServer(grpc.UnaryInterceptor(methods.Unary()), grpc.StreamInterceptor(methods.Stream()))
type Methods struct {
	// Default guards every method that is not named below. It must be there.
	Default *Guard
	// Guards has the methods with another guard.
	Guards map[string]*Guard
	// Public names the methods that need no key. They have no identity.
	Public []string

	// ClientIP finds the address that a call comes from, for keys that may be used only from some networks; the zero Addr
	// stands for none. Nil: that of the connection's other end, which behind a proxy is the proxy's.
	ClientIP func(context.Context) netip.Addr
}

// Unary guards the unary methods. It panics if a guard is missing or a name in Guards is none.
func (m Methods) Unary() grpc.UnaryServerInterceptor {
	authorize := m.authorizer()
	return func(ctx context.Context, request any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		ctx, err := authorize(ctx, info.FullMethod)
		if err != nil {
			return nil, err
		}
		return next(ctx, request)
	}
}

// Stream guards the streaming methods: the key is checked once, when a stream begins. It panics if a guard is missing or
// a name in Guards is none.
func (m Methods) Stream() grpc.StreamServerInterceptor {
	authorize := m.authorizer()
	return func(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		ctx, err := authorize(stream.Context(), info.FullMethod)
		if err != nil {
			return err
		}
		return next(service, guardedStream{stream, ctx})
	}
}

// guardedStream has the identity in its context.
type guardedStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s guardedStream) Context() context.Context { return s.ctx }

// authorizer makes what adds the identity to the context of a call, or says with which status the call ends.
func (m Methods) authorizer() func(ctx context.Context, method string) (context.Context, error) {
	if m.Default == nil {
		panic("guard: Methods: Default is missing")
	}
	for method, guard := range m.Guards {
		if guard == nil || !strings.HasPrefix(method, "/") {
			panic(fmt.Sprintf("guard: Methods: must be a guard for a name with a slash before it: %q", method))
		}
	}
	guards, public := maps.Clone(m.Guards), slices.Clone(m.Public)
	clientIP := m.ClientIP
	if clientIP == nil {
		clientIP = peerIP
	}
	return func(ctx context.Context, method string) (context.Context, error) {
		if slices.Contains(public, method) {
			return ctx, nil
		}
		identity, refused := cmp.Or(guards[method], m.Default).check(
			ctx,
			metadata.ValueFromIncomingContext(ctx, "authorization"),
			metadata.ValueFromIncomingContext(ctx, "x-api-key"),
			clientIP(ctx),
		)
		if refused != nil {
			return nil, refused.err()
		}
		return withIdentity(ctx, identity), nil
	}
}

// peerIP is the address of the connection's other end.
func peerIP(ctx context.Context) netip.Addr {
	from, known := peer.FromContext(ctx)
	if !known {
		return netip.Addr{}
	}
	return hostOf(from.Addr.String())
}

// err is the refusal as the status of a call.
func (refused *refusal) err() error {
	info := &errdetails.ErrorInfo{Reason: strings.ToUpper(refused.code), Domain: "portcullis.guard"}
	if len(refused.missingScopes) > 0 {
		info.Metadata = map[string]string{"missing_scopes": strings.Join(refused.missingScopes, " ")}
	}
	details := []protoadapt.MessageV1{info}
	if refused.retryAfter > 0 {
		wait := time.Duration(refused.retryAfter) * time.Second
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(wait)})
	}
	answer, err := status.New(refused.grpc, refused.message).WithDetails(details...)
	if err != nil {
		panic(err) // these messages always fit
	}
	return answer.Err()
}
