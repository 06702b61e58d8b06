package testserver

import (
	"context"
	"net"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"

	portcullisv1 "github.com/portcullis/portcullis/clients/go/portcullis/v1"
)

// Verify answers a call of that method.
type Verify func(context.Context, *portcullisv1.VerifyRequest) (*portcullisv1.VerifyResponse, error)

// Fake is a VerificationService that answers as a test likes.
type Fake struct {
	portcullisv1.UnimplementedVerificationServiceServer
	verify Verify
	calls  atomic.Int64
	server *grpc.Server
	// Address is where it listens: http://HOST:PORT.
	Address string
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
	go func() { _ = fake.server.Serve(listener) }()
	t.Cleanup(fake.Stop)
	return fake
}

// Stop ends it, and calls that are under way.
func (f *Fake) Stop() { f.server.Stop() }

// Calls is how many it was asked.
func (f *Fake) Calls() int64 { return f.calls.Load() }

// Verify implements VerificationService.
func (f *Fake) Verify(ctx context.Context, request *portcullisv1.VerifyRequest) (*portcullisv1.VerifyResponse, error) {
	f.calls.Add(1)
	return f.verify(ctx, request)
}
