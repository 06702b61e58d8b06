package testserver

import (
	"context"
	"net"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	portcullisv1 "github.com/portcullis/portcullis/clients/go/portcullis/v1"
)

// Verify answers a call of that method.
type Verify func(context.Context, *portcullisv1.VerifyRequest) (*portcullisv1.VerifyResponse, error)

// Fake is a VerificationService that answers as a test likes.
type Fake struct {
	portcullisv1.UnimplementedVerificationServiceServer
	verify      Verify
	calls       atomic.Int64
	readiness   atomic.Pointer[Readiness]
	healthCalls atomic.Int64
	server      *grpc.Server
	// Address is where it listens: http://HOST:PORT.
	Address string
}

// Readiness answers a call of grpc.health.v1 about the service "readiness".
type Readiness func(context.Context) (healthv1.HealthCheckResponse_ServingStatus, error)

// Is answers with a status.
func Is(status healthv1.HealthCheckResponse_ServingStatus) Readiness {
	return func(context.Context) (healthv1.HealthCheckResponse_ServingStatus, error) { return status, nil }
}

// StartFake starts one. It ends with the test.
func StartFake(t *testing.T, verify Verify) *Fake {
	t.Helper()
	return StartFakeAt(t, "127.0.0.1:0", verify)
}

// StartFakeAt starts one that listens there.
func StartFakeAt(t *testing.T, address string, verify Verify) *Fake {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	fake := &Fake{verify: verify, server: grpc.NewServer(), Address: "http://" + listener.Addr().String()}
	portcullisv1.RegisterVerificationServiceServer(fake.server, fake)
	healthv1.RegisterHealthServer(fake.server, health{fake: fake})
	go func() { _ = fake.server.Serve(listener) }()
	t.Cleanup(fake.Stop)
	return fake
}

// Stop ends it, and calls that are under way.
func (f *Fake) Stop() { f.server.Stop() }

// SetReadiness has it answer so about its health; UNIMPLEMENTED until then.
func (f *Fake) SetReadiness(readiness Readiness) { f.readiness.Store(&readiness) }

// HealthCalls is how many it was asked about its health.
func (f *Fake) HealthCalls() int64 { return f.healthCalls.Load() }

// Calls is how many it was asked.
func (f *Fake) Calls() int64 { return f.calls.Load() }

// Verify implements VerificationService.
func (f *Fake) Verify(ctx context.Context, request *portcullisv1.VerifyRequest) (*portcullisv1.VerifyResponse, error) {
	f.calls.Add(1)
	return f.verify(ctx, request)
}

type health struct {
	healthv1.UnimplementedHealthServer
	fake *Fake
}

// Check implements Health.
func (h health) Check(
	ctx context.Context, request *healthv1.HealthCheckRequest,
) (*healthv1.HealthCheckResponse, error) {
	h.fake.healthCalls.Add(1)
	readiness := h.fake.readiness.Load()
	if readiness == nil || request.GetService() != "readiness" {
		return nil, status.Error(codes.Unimplemented, "")
	}
	answer, err := (*readiness)(ctx)
	return &healthv1.HealthCheckResponse{Status: answer}, err
}
