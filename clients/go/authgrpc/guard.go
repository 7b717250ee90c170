package authgrpc

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"auth.example/authclient"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"
)

const (
	errorDomain = "auth_api.v1"
	retryDelay  = 2 * time.Second
)

// One wording for each code that outsiders may hear; the finer reason stays inside.
var messages = map[authclient.Code]string{
	authclient.TokenInvalid: "the access token is not valid",
	authclient.TokenExpired: "the access token has expired",
	authclient.TokenRevoked: "the access token was revoked",
}

type callerKey struct{}

// Caller is who is calling: what the token of the call says. False outside of a call, and in a method that is public.
func Caller(ctx context.Context) (*authclient.Token, bool) {
	caller, ok := ctx.Value(callerKey{}).(*authclient.Token)
	return caller, ok
}

// Guard lets nobody get further than its table of rights says. What it refuses, it refuses as auth-service would.
//
// A stream is checked when it begins, and not again: one that goes on past its token's end is yours to bound.
type Guard struct {
	verifier *authclient.Verifier
	rights   Rights
}

// NewGuard fails for a name that no method can have, since its row would guard nothing.
func NewGuard(verifier *authclient.Verifier, rights Rights) (*Guard, error) {
	if err := rights.check(); err != nil {
		return nil, err
	}
	return &Guard{verifier, rights}, nil
}

// Options is for grpc.NewServer.
func (g *Guard) Options() []grpc.ServerOption {
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(g.Unary), grpc.ChainStreamInterceptor(g.Stream)}
}

// Unary is a grpc.UnaryServerInterceptor.
func (g *Guard) Unary(
	ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
) (any, error) {
	ctx, err := g.admit(ctx, info.FullMethod)
	if err != nil {
		return nil, err
	}
	return handler(ctx, request)
}

// Stream is a grpc.StreamServerInterceptor.
func (g *Guard) Stream(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	ctx, err := g.admit(stream.Context(), info.FullMethod)
	if err != nil {
		return err
	}
	return handler(server, streamWithCaller{stream, ctx})
}

type streamWithCaller struct {
	grpc.ServerStream
	ctx context.Context
}

func (s streamWithCaller) Context() context.Context { return s.ctx }

// admit is the context with the caller in it, or the status by which the call is refused.
func (g *Guard) admit(ctx context.Context, method string) (context.Context, error) {
	right := g.rights[method]
	if right.isPublic {
		return ctx, nil
	}
	token, err := oneBearer(metadata.ValueFromIncomingContext(ctx, "authorization"))
	if err != nil {
		return nil, err
	}
	caller, err := g.verifier.VerifyToken(ctx, token)
	if err != nil {
		return nil, refusal(ctx, method, err)
	}
	if !right.admits(caller) {
		return nil, refused(codes.PermissionDenied, "PERMISSION_DENIED", right.expectation())
	}
	return context.WithValue(ctx, callerKey{}, caller), nil
}

// oneBearer is the token in the authorization values of a call.
func oneBearer(values []string) (string, error) {
	switch len(values) {
	case 0:
		message := "this method needs `authorization: Bearer <access token>`"
		return "", refused(codes.Unauthenticated, "CREDENTIALS_MISSING", message)
	case 1:
	default:
		return "", refused(codes.Unauthenticated, "CREDENTIALS_INVALID", "authorization: expected one value")
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.Trim(token, " ")
	if !strings.EqualFold(scheme, "bearer") || token == "" {
		message := "authorization: expected `Bearer <access token>`"
		return "", refused(codes.Unauthenticated, "CREDENTIALS_INVALID", message)
	}
	return token, nil
}

// refusal is what the service itself would answer; the finer reason goes to the log.
func refusal(ctx context.Context, method string, err error) error {
	if token, ok := errors.AsType[*authclient.RefusedError](err); ok {
		slog.InfoContext(ctx, "token refused", "method", method, "reason", string(token.Reason))
		return refused(codes.Unauthenticated, string(token.Code), messages[token.Code])
	}
	slog.WarnContext(ctx, "no keys to judge a token by", "method", method, "error", err)
	message := "no signing key is known that is fresh enough"
	retry := &errdetails.RetryInfo{RetryDelay: durationpb.New(retryDelay)}
	return refused(codes.Unavailable, "SIGNING_UNAVAILABLE", message, retry)
}

func refused(code codes.Code, reason, message string, more ...protoadapt.MessageV1) error {
	details := append([]protoadapt.MessageV1{&errdetails.ErrorInfo{Reason: reason, Domain: errorDomain}}, more...)
	answer, err := status.New(code, message).WithDetails(details...)
	if err != nil {
		return status.Error(code, message)
	}
	return answer.Err()
}
