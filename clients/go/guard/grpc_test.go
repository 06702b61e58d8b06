package guard_test

import (
	"context"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/portcullis/portcullis/clients/go/guard"
	"github.com/portcullis/portcullis/clients/go/internal/testserver"
	portcullisv1 "github.com/portcullis/portcullis/clients/go/portcullis/v1"
)

const (
	check = "/grpc.health.v1.Health/Check"
	watch = "/grpc.health.v1.Health/Watch"
)

// health tells the caller's subject as the code of its answers: OK for user_1, NOT_FOUND for nobody.
type health struct {
	grpc_health_v1.UnimplementedHealthServer
}

func known(ctx context.Context) error {
	if identity := guard.FromContext(ctx); identity == nil || identity.Subject != "user_1" {
		return status.Error(codes.NotFound, "")
	}
	return nil
}

func (health) Check(
	ctx context.Context, _ *grpc_health_v1.HealthCheckRequest,
) (*grpc_health_v1.HealthCheckResponse, error) {
	return &grpc_health_v1.HealthCheckResponse{}, known(ctx)
}

func (health) Watch(
	_ *grpc_health_v1.HealthCheckRequest, stream grpc.ServerStreamingServer[grpc_health_v1.HealthCheckResponse],
) error {
	if err := known(stream.Context()); err != nil {
		return err
	}
	return stream.Send(&grpc_health_v1.HealthCheckResponse{})
}

// serve starts a server with these guards.
func serve(t *testing.T, methods guard.Methods) grpc_health_v1.HealthClient {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.UnaryInterceptor(methods.Unary()), grpc.StreamInterceptor(methods.Stream()))
	grpc_health_v1.RegisterHealthServer(server, health{})
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return grpc_health_v1.NewHealthClient(conn)
}

// ask calls both methods, with a key unless it is empty.
func ask(t *testing.T, client grpc_health_v1.HealthClient, key string) (unary, stream codes.Code) {
	t.Helper()
	ctx := t.Context()
	if key != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "Authorization", "Bearer "+key)
	}
	_, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	unary = status.Code(err)
	watching, err := client.Watch(ctx, &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = watching.Recv()
	return unary, status.Code(err)
}

func TestOverGRPC(t *testing.T) {
	client := newClient(t, "http://"+testserver.Start(t))
	key := createKey(t, client).GetSecret()
	read := guard.New(client, guard.Options{Keyspace: "default", Scopes: []string{"orders:read"}})
	write := guard.New(client, guard.Options{Keyspace: "default", Scopes: []string{"orders:write"}})

	only := func(method string, one, others *guard.Guard) guard.Methods {
		return guard.Methods{Default: others, Guards: map[string]*guard.Guard{method: one}}
	}
	for name, test := range map[string]struct {
		methods       guard.Methods
		key           string
		unary, stream codes.Code
	}{
		"a key":         {guard.Methods{Default: read}, key, codes.OK, codes.OK},
		"no key":        {guard.Methods{Default: read}, "", codes.Unauthenticated, codes.Unauthenticated},
		"another key":   {guard.Methods{Default: read}, "hello", codes.Unauthenticated, codes.Unauthenticated},
		"no scope":      {guard.Methods{Default: write}, key, codes.PermissionDenied, codes.PermissionDenied},
		"one by name":   {only(check, read, write), key, codes.OK, codes.PermissionDenied},
		"other by name": {only(watch, write, read), key, codes.OK, codes.PermissionDenied},
		"one is public": {guard.Methods{Default: read, Public: []string{check}}, "", codes.NotFound, codes.Unauthenticated},
	} {
		if unary, stream := ask(t, serve(t, test.methods), test.key); unary != test.unary || stream != test.stream {
			t.Errorf("%s: %v, %v", name, unary, stream)
		}
	}
}

func TestTheAddressOfACaller(t *testing.T) {
	fake, asked := answering(t, &portcullisv1.VerifyResponse{Valid: true, Subject: "user_1"}, nil)
	methods := guard.Methods{Default: guard.New(newClient(t, fake.Address), guard.Options{Keyspace: "default"})}
	if unary, _ := ask(t, serve(t, methods), key); unary != codes.OK {
		t.Error(unary)
	}
	if request := asked(); request.GetClientIp() != "127.0.0.1" {
		t.Error(request)
	}
}

func TestMethodsWithoutAGuard(t *testing.T) {
	fake, _ := answering(t, nil, nil)
	read := guard.New(newClient(t, fake.Address), guard.Options{Keyspace: "default"})
	for name, methods := range map[string]guard.Methods{
		"no default": {},
		"no guard":   {Default: read, Guards: map[string]*guard.Guard{check: nil}},
		"no slash":   {Default: read, Guards: map[string]*guard.Guard{check[1:]: read}},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error(name)
				}
			}()
			methods.Unary()
		}()
	}
}
