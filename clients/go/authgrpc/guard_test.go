package authgrpc_test

import (
	"context"
	"testing"
	"time"

	"auth.example/authclient"
	"auth.example/authclient/authgrpc"
	"auth.example/authclient/internal/minting"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// witness is a service with a unary method and a stream, which notes who called.
type witness struct {
	*health.Server

	callers []string
}

func (w *witness) note(ctx context.Context) {
	name := "nobody"
	if caller, ok := authgrpc.Caller(ctx); ok {
		name = caller.Username
	}
	w.callers = append(w.callers, name)
}

func (w *witness) Check(
	ctx context.Context, request *grpc_health_v1.HealthCheckRequest,
) (*grpc_health_v1.HealthCheckResponse, error) {
	w.note(ctx)
	return w.Server.Check(ctx, request)
}

func (w *witness) Watch(
	_ *grpc_health_v1.HealthCheckRequest, stream grpc.ServerStreamingServer[grpc_health_v1.HealthCheckResponse],
) error {
	w.note(stream.Context())
	return stream.Send(&grpc_health_v1.HealthCheckResponse{})
}

const (
	check = grpc_health_v1.Health_Check_FullMethodName
	watch = grpc_health_v1.Health_Watch_FullMethodName
)

func guarded(
	t *testing.T, keys authclient.KeySource, rights authgrpc.Rights,
) (grpc_health_v1.HealthClient, *witness) {
	guard, err := authgrpc.NewGuard(verifying(t, keys), rights)
	if err != nil {
		t.Fatal(err)
	}
	server, served := grpc.NewServer(guard.Options()...), &witness{Server: health.NewServer()}
	grpc_health_v1.RegisterHealthServer(server, served)
	return grpc_health_v1.NewHealthClient(connected(t, server)), served
}

func fixed(t *testing.T) authclient.KeySource {
	keys, err := authclient.ParseKeySet(minting.KeySet(minting.First()), "")
	if err != nil {
		t.Fatal(err)
	}
	return authclient.NewFixedKeys(keys)
}

type noKeys struct{ authclient.FixedKeys }

func (noKeys) Current() (*authclient.KeySet, error) { return nil, authclient.ErrKeysUnavailable }

// outcome is the reason of a refusal, with what it comes as, or "OK".
func outcome(err error) string {
	answer := status.Convert(err)
	text := answer.Code().String()
	for _, detail := range answer.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			text += " " + detail.GetDomain() + " " + detail.GetReason()
		case *errdetails.RetryInfo:
			text += " after " + detail.GetRetryDelay().AsDuration().String()
		}
	}
	return text
}

func bearing(t *testing.T, values ...string) context.Context {
	ctx := t.Context()
	for _, value := range values {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", value)
	}
	return ctx
}

func both(ctx context.Context, t *testing.T, client grpc_health_v1.HealthClient) string {
	t.Helper()
	_, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	stream, broken := client.Watch(ctx, &grpc_health_v1.HealthCheckRequest{})
	if broken == nil {
		_, broken = stream.Recv()
	}
	expect(t, "the stream, like the unary call", outcome(broken), outcome(err))
	return outcome(err)
}

func TestNobodyGetsFurtherThanTheirToken(t *testing.T) {
	client, served := guarded(t, fixed(t), authgrpc.Rights{check: authgrpc.SignedIn, watch: authgrpc.SignedIn})
	hour := time.Now().Add(-time.Hour).Unix()
	unauthenticated := "Unauthenticated auth_api.v1 "
	for name, each := range map[string]struct {
		values []string
		want   string
	}{
		"nothing":          {nil, unauthenticated + "CREDENTIALS_MISSING"},
		"two":              {[]string{"Bearer " + usual(), "Bearer " + usual()}, unauthenticated + "CREDENTIALS_INVALID"},
		"Basic":            {[]string{"Basic YTpi"}, unauthenticated + "CREDENTIALS_INVALID"},
		"no token":         {[]string{"Bearer  "}, unauthenticated + "CREDENTIALS_INVALID"},
		"a bare token":     {[]string{usual()}, unauthenticated + "CREDENTIALS_INVALID"},
		"rubbish":          {[]string{"Bearer rubbish"}, unauthenticated + "TOKEN_INVALID"},
		"a strange key":    {[]string{"Bearer " + minting.Second().Token(nil)}, unauthenticated + "TOKEN_INVALID"},
		"an expired token": {[]string{"Bearer " + minting.First().Token(map[string]any{"exp": hour})}, unauthenticated + "TOKEN_EXPIRED"},
		"a service": {
			[]string{"Bearer " + minting.First().Token(map[string]any{"roles": nil, "scope": "scans:read"})},
			"PermissionDenied auth_api.v1 PERMISSION_DENIED",
		},
	} {
		t.Run(name, func(t *testing.T) {
			expect(t, "outcome", both(bearing(t, each.values...), t, client), each.want)
			expect(t, "calls that came through", len(served.callers), 0)
		})
	}
}

func TestBehindTheGuardTheCallerIsKnown(t *testing.T) {
	client, served := guarded(t, fixed(t), authgrpc.Rights{check: authgrpc.SignedIn, watch: authgrpc.Role("user")})

	expect(t, "outcome", both(bearing(t, "bearer "+usual()), t, client), "OK")

	expect(t, "calls", len(served.callers), 2)
	for _, caller := range served.callers {
		expect(t, "caller", caller, "ada")
	}
}

func TestWhatIsPublicAsksForNoToken(t *testing.T) {
	client, served := guarded(t, noKeys{}, authgrpc.Rights{check: authgrpc.Public, watch: authgrpc.Public})

	expect(t, "outcome", both(bearing(t, "rubbish"), t, client), "OK")

	expect(t, "caller", served.callers[0], "nobody")
}

func TestAMethodWithoutARowIsRefusedToEverybody(t *testing.T) {
	client, _ := guarded(t, fixed(t), nil)

	got := both(bearing(t, "Bearer "+usual()), t, client)

	expect(t, "outcome", got, "PermissionDenied auth_api.v1 PERMISSION_DENIED")
}

func TestWithoutKeysThereIsNoVerdict(t *testing.T) {
	client, _ := guarded(t, noKeys{}, authgrpc.Rights{check: authgrpc.SignedIn, watch: authgrpc.SignedIn})

	got := both(bearing(t, "Bearer "+usual()), t, client)

	expect(t, "outcome", got, "Unavailable auth_api.v1 SIGNING_UNAVAILABLE after 2s")
}

func TestRightsLetInWhomTheyName(t *testing.T) {
	either := authgrpc.Role("staff", "instrument-scientist").Or(authgrpc.Scope("scans:read"))
	client, _ := guarded(t, fixed(t), authgrpc.Rights{check: either, watch: either})
	for name, each := range map[string]struct {
		claims map[string]any
		want   codes.Code
	}{
		"another role":           {nil, codes.PermissionDenied},
		"one of the roles":       {map[string]any{"roles": []string{"user", "staff"}}, codes.OK},
		"the scope":              {map[string]any{"roles": nil, "scope": "scans:write scans:read"}, codes.OK},
		"another scope":          {map[string]any{"roles": nil, "scope": "scans"}, codes.PermissionDenied},
		"a role named like it":   {map[string]any{"roles": []string{"scans:read"}}, codes.PermissionDenied},
		"a role that begins so":  {map[string]any{"roles": []string{"staffs"}}, codes.PermissionDenied},
		"a scope named like one": {map[string]any{"roles": nil, "scope": "staff"}, codes.PermissionDenied},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := bearing(t, "Bearer "+minting.First().Token(each.claims))

			_, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{})

			expect(t, "outcome", status.Code(err), each.want)
			if each.want == codes.PermissionDenied {
				message := "expected a person with the role `instrument-scientist` or a person with the role `staff`" +
					" or a service whose key has the scope `scans:read`"
				expect(t, "says who may", status.Convert(err).Message(), message)
			}
		})
	}
}

func TestARowThatWouldGuardNothingIsRefused(t *testing.T) {
	for _, rights := range []authgrpc.Rights{
		{"": authgrpc.Public},
		{"Check": authgrpc.Public},
		{"grpc.health.v1.Health/Check": authgrpc.Public},
		{"/grpc.health.v1.Health": authgrpc.Public},
		{check: authgrpc.Role("")},
		{check: authgrpc.Scope("a", "")},
	} {
		if _, err := authgrpc.NewGuard(nil, rights); err == nil {
			t.Errorf("%v was taken", rights)
		}
	}
}
