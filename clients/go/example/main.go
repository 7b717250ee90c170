// Example is a gRPC service that lets in only people who are signed in, checking their tokens in its own process.
//
//	go run ./example -auth 127.0.0.1:50051 -plaintext -issuer http://127.0.0.1:8080 -audience facility
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"os/signal"
	"syscall"

	"auth.example/authclient"
	"auth.example/authclient/authgrpc"
	"auth.example/authclient/example/whoami"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

var rights = authgrpc.Rights{
	whoami.WhoAmIService_WhoAmI_FullMethodName: authgrpc.SignedIn,
	grpc_health_v1.Health_Check_FullMethodName: authgrpc.Public,
}

type service struct {
	whoami.UnimplementedWhoAmIServiceServer
}

func (service) WhoAmI(ctx context.Context, _ *whoami.WhoAmIRequest) (*whoami.WhoAmIResponse, error) {
	caller, ok := authgrpc.Caller(ctx)
	if !ok {
		return nil, status.Error(codes.Internal, "not behind the guard")
	}
	return &whoami.WhoAmIResponse{Subject: caller.Subject, Username: caller.Username, Roles: caller.Roles}, nil
}

// newServer is the whole service, guarded by what keys tell.
func newServer(keys authclient.KeySource, expected authclient.Expected) (*grpc.Server, error) {
	verifier, err := authclient.NewVerifier(keys, expected)
	if err != nil {
		return nil, err
	}
	guard, err := authgrpc.NewGuard(verifier, rights)
	if err != nil {
		return nil, err
	}
	server := grpc.NewServer(guard.Options()...)
	whoami.RegisterWhoAmIServiceServer(server, service{})
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	return server, nil
}

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	listen := flag.String("listen", "127.0.0.1:50061", "where to serve")
	auth := flag.String("auth", "127.0.0.1:50051", "auth-service, over gRPC")
	isPlain := flag.Bool("plaintext", false, "talk to it without TLS")
	var expected authclient.Expected
	flag.StringVar(&expected.Issuer, "issuer", "", "of the tokens")
	flag.StringVar(&expected.Audience, "audience", "", "of the tokens; empty takes those meant for anybody")
	flag.Parse()
	expected.AnyAudience = expected.Audience == ""

	creds := credentials.NewTLS(nil)
	if *isPlain {
		creds = insecure.NewCredentials()
	}
	conn, err := authgrpc.Dial(*auth, creds)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	trust := authgrpc.FollowTrust(conn, authgrpc.TrustOptions{})
	defer trust.Close()
	server, err := newServer(trust, expected)
	if err != nil {
		return err
	}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, server.GracefulStop)
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	fmt.Println("serving on", listener.Addr())
	return server.Serve(listener)
}
