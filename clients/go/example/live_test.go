package main

import (
	"context"
	"net"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"auth.example/authclient"
	"auth.example/authclient/authapi"
	"auth.example/authclient/authgrpc"
	"auth.example/authclient/example/whoami"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// live is the example in this process, trusting a running auth-service. tests/other_languages starts that, and says in
// the environment where it is.
type live struct {
	auth     authapi.AuthServiceClient
	trust    *authgrpc.TrustStream
	fetched  *authclient.HTTPKeys
	expected authclient.Expected
	example  whoami.WhoAmIServiceClient
}

func running(t *testing.T) live {
	address := os.Getenv("AUTH_GRPC_ADDRESS")
	if address == "" {
		t.Skip("left out: no AUTH_GRPC_ADDRESS says where auth-service runs; see tests/other_languages")
	}
	conn := dialed(t, address)
	trust := authgrpc.FollowTrust(conn, authgrpc.TrustOptions{})
	t.Cleanup(trust.Close)
	jwks := "http://" + os.Getenv("AUTH_HTTP_ADDRESS") + "/.well-known/jwks.json"
	fetched, err := authclient.NewHTTPKeys(jwks, authclient.HTTPOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fetched.Close)
	expected := authclient.Expected{Issuer: os.Getenv("AUTH_ISSUER"), Audience: os.Getenv("AUTH_AUDIENCE")}
	server, err := newServer(trust, expected)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	example := whoami.NewWhoAmIServiceClient(dialed(t, listener.Addr().String()))
	return live{authapi.NewAuthServiceClient(conn), trust, fetched, expected, example}
}

func dialed(t *testing.T, address string) *grpc.ClientConn {
	conn, err := authgrpc.Dial(address, insecure.NewCredentials())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func (l live) signIn(t *testing.T) *authapi.LoginResponse {
	request := &authapi.LoginRequest{Username: "user1001", Password: "user1001-password"}
	pair, err := l.auth.Login(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func (l live) verifier(t *testing.T, keys authclient.KeySource) *authclient.Verifier {
	verifier, err := authclient.NewVerifier(keys, l.expected)
	if err != nil {
		t.Fatal(err)
	}
	return verifier
}

// ask is what the example answers: the user name, or the reason of its refusal.
func (l live) ask(t *testing.T, token string) string {
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
	return answer(l.example.WhoAmI(ctx, &whoami.WhoAmIRequest{}))
}

func answer(reply *whoami.WhoAmIResponse, err error) string {
	if err == nil {
		return reply.GetUsername()
	}
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return err.Error()
}

// becomes waits until the example answers so.
func (l live) becomes(t *testing.T, token, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	got := l.ask(t, token)
	for got != want {
		select {
		case <-ctx.Done():
			t.Fatalf("got %s, expected %s", got, want)
		case <-time.After(20 * time.Millisecond):
			got = l.ask(t, token)
		}
	}
}

// operate runs the service's own command line on it.
func operate(t *testing.T, arguments ...string) {
	command := exec.CommandContext(t.Context(), os.Getenv("AUTH_PYTHON"), append([]string{"-m", "auth_service"}, arguments...)...)
	if printed, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%s\n%s", err, printed)
	}
}

func TestLocalVerdictsAreThoseOfTheService(t *testing.T) {
	live := running(t)
	pair := live.signIn(t)
	said, err := live.auth.Verify(t.Context(), &authapi.VerifyRequest{Token: pair.GetAccessToken()})
	if err != nil {
		t.Fatal(err)
	}
	for name, keys := range map[string]authclient.KeySource{"JWKS": live.fetched, "trust stream": live.trust} {
		token, err := live.verifier(t, keys).VerifyToken(t.Context(), pair.GetAccessToken())
		if err != nil {
			t.Fatal(name, err)
		}
		isSame := token.Subject == said.GetSubject() && token.SessionID == said.GetSessionId() &&
			token.Issuer == said.GetIssuer() && slices.Equal(token.Audience, said.GetAudience()) &&
			slices.Equal(token.Roles, said.GetRoles()) && slices.Equal(token.Scopes, said.GetScopes()) &&
			token.UserNumber == said.GetUserNumber() && token.Username == said.GetUsername() &&
			token.ClientID == said.GetClientId() && token.KeyID == said.GetKeyId() &&
			token.IssuedAt.Equal(said.GetIssuedAt().AsTime()) && token.ExpiresAt.Equal(said.GetExpiresAt().AsTime())
		if !isSame {
			t.Errorf("%s says %+v, the service %v", name, token, said)
		}
	}
}

func TestTheExampleLetsInWhoIsSignedInUntilTheyAreNot(t *testing.T) {
	live := running(t)
	pair := live.signIn(t)

	if got := live.ask(t, pair.GetAccessToken()); got != "user1001" {
		t.Error(got)
	}
	if got := live.ask(t, pair.GetAccessToken()+"A"); got != "TOKEN_INVALID" {
		t.Error(got)
	}
	if got := answer(live.example.WhoAmI(t.Context(), &whoami.WhoAmIRequest{})); got != "CREDENTIALS_MISSING" {
		t.Error(got)
	}
	if _, err := live.auth.Logout(t.Context(), &authapi.LogoutRequest{RefreshToken: pair.GetRefreshToken()}); err != nil {
		t.Fatal(err)
	}
	live.becomes(t, pair.GetAccessToken(), "TOKEN_REVOKED")
}

func TestARotationRefusesNobodyAndARevokedKeyTakesItsTokensAlong(t *testing.T) {
	live := running(t)
	before := live.signIn(t).GetAccessToken()
	fetching := live.verifier(t, live.fetched)
	was, err := fetching.VerifyToken(t.Context(), before)
	if err != nil {
		t.Fatal(err)
	}

	operate(t, "keys", "rotate")
	after := live.afterRotation(t, was.KeyID)

	for _, token := range []string{before, after} {
		live.becomes(t, token, "user1001")
		if _, err := fetching.VerifyToken(t.Context(), token); err != nil {
			t.Error(err)
		}
	}
	operate(t, "keys", "revoke", was.KeyID, "--yes")
	live.becomes(t, before, "TOKEN_REVOKED")
	live.becomes(t, live.signIn(t).GetAccessToken(), "user1001")
}

// afterRotation is a token that another key signed.
func (l live) afterRotation(t *testing.T, former string) string {
	for {
		token := l.signIn(t).GetAccessToken()
		said, err := l.auth.Verify(t.Context(), &authapi.VerifyRequest{Token: token})
		if err != nil {
			t.Fatal(err)
		}
		if said.GetKeyId() != former {
			return token
		}
		time.Sleep(20 * time.Millisecond)
	}
}
