// Package authgrpc is the part of authclient that speaks gRPC: what is trusted, told as it changes, and a guard for
// servers.
package authgrpc

import (
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
)

// Dial is grpc.NewClient with what suits auth-service; more options come last and so win.
func Dial(target string, creds credentials.TransportCredentials, more ...grpc.DialOption) (*grpc.ClientConn, error) {
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(creds),
		// What it is: so the service knows how a verifier that follows it behaves.
		grpc.WithUserAgent("auth-client (Go)"),
		// The server counts pings closer than 60 s as abuse, so stay well clear of that.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 90 * time.Second, Timeout: 20 * time.Second}),
		// Left to itself gRPC waits up to two minutes before it tries to connect again.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{
				BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 5 * time.Second,
			},
			MinConnectTimeout: 5 * time.Second,
		}),
		// Of several addresses another one than that which just failed.
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"round_robin": {}}]}`),
	}
	return grpc.NewClient(target, append(options, more...)...)
}
