package main

import (
	"context"
	"log"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	"github.com/portcullis/portcullis/clients/go/guard"
)

// serveGRPC serves a port for each profile.
func serveGRPC(guards map[string]*guard.Guard) (map[string]string, error) {
	addresses := map[string]string{}
	for profile, one := range guards {
		listener, err := listen()
		if err != nil {
			return nil, err
		}
		methods := guard.Methods{Default: one}
		server := grpc.NewServer(
			grpc.ChainUnaryInterceptor(methods.Unary(), sayWhoAsks),
			grpc.StreamInterceptor(methods.Stream()),
		)
		grpc_health_v1.RegisterHealthServer(server, health.NewServer())
		go func() { log.Fatal(server.Serve(listener)) }()
		addresses[profile] = listener.Addr().String()
	}
	return addresses, nil
}

// sayWhoAsks sends the identity, which in the table is ASCII.
func sayWhoAsks(ctx context.Context, request any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	identity, err := asJSON(guard.FromContext(ctx))
	if err != nil {
		return nil, err
	}
	if err := grpc.SetHeader(ctx, metadata.Pairs("x-identity", string(identity))); err != nil {
		return nil, err
	}
	return next(ctx, request)
}
