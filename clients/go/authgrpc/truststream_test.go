package authgrpc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"auth.example/authclient"
	"auth.example/authclient/authapi"
	"auth.example/authclient/authgrpc"
	"auth.example/authclient/internal/minting"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

type message = authapi.WatchTrustResponse

// endpoint tells what is trusted, as a test says. Each stream begins with its script.
type endpoint struct {
	authapi.UnimplementedTrustServiceServer

	mutex   sync.Mutex
	cursors []string    // The cursor of each request.
	brought metadata.MD // What came with the last request.
	refuses error
	script  []*message
	said    chan *message // nil cuts the stream.
}

func (e *endpoint) WatchTrust(
	request *authapi.WatchTrustRequest, stream grpc.ServerStreamingServer[message],
) error {
	e.mutex.Lock()
	e.cursors = append(e.cursors, request.GetCursor())
	e.brought, _ = metadata.FromIncomingContext(stream.Context())
	script, refuses := slices.Clone(e.script), e.refuses
	e.mutex.Unlock()
	if refuses != nil {
		return refuses
	}
	for _, each := range script {
		if err := stream.Send(each); err != nil {
			return err
		}
	}
	for {
		select {
		case next := <-e.said:
			if next == nil {
				return status.Error(codes.Unavailable, "cut")
			}
			if err := stream.Send(next); err != nil {
				return err
			}
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}

// say sends to the stream that is open, and waits until it was taken.
func (e *endpoint) say(messages ...*message) {
	for _, each := range messages {
		e.said <- each
	}
	synctest.Wait()
}

func (e *endpoint) cut() { e.say(nil) }

// from now on streams begin so.
func (e *endpoint) begins(refuses error, script ...*message) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.refuses, e.script = refuses, script
}

func (e *endpoint) asked() []string {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	return slices.Clone(e.cursors)
}

var began = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // As every bubble does.

func keysOf(keys ...minting.Key) *authapi.TrustedKeys {
	told := &authapi.TrustedKeys{RingVersion: 1}
	for _, key := range keys {
		told.Keys = append(told.Keys, key.Proto())
	}
	return told
}

// ended are sessions whose last token ends in 12 minutes.
func ended(sessions ...string) []*authapi.RevokedSessions {
	return []*authapi.RevokedSessions{{SessionIds: sessions, Until: timestamppb.New(began.Add(12 * time.Minute))}}
}

func chunk(keys *authapi.TrustedKeys, isLast bool, sessions ...string) *message {
	told := &authapi.TrustSnapshotChunk{Keys: keys, Revoked: ended(sessions...), Last: isLast}
	reply := &message{Now: timestamppb.New(began), What: &authapi.WatchTrustResponse_Snapshot{Snapshot: told}}
	if isLast {
		reply.Cursor, told.HeartbeatInterval = "one", durationpb.New(time.Hour)
	}
	return reply
}

func change(keys *authapi.TrustedKeys, sessions ...string) *message {
	told := &authapi.TrustChange{Keys: keys, Revoked: ended(sessions...)}
	what := &authapi.WatchTrustResponse_Change{Change: told}
	return &message{Cursor: "changed", Now: timestamppb.New(began), What: what}
}

func heartbeat(cursor string, later time.Duration) *message {
	told := &authapi.TrustHeartbeat{HeartbeatInterval: durationpb.New(time.Hour)}
	what := &authapi.WatchTrustResponse_Heartbeat{Heartbeat: told}
	return &message{Cursor: cursor, Now: timestamppb.New(began.Add(later)), What: what}
}

// following runs a test in a bubble, where time passes at once when everything waits.
func following(
	t *testing.T, options authgrpc.TrustOptions, script []*message,
	test func(*testing.T, *endpoint, *authgrpc.TrustStream, *authclient.Verifier),
) {
	synctest.Test(t, func(t *testing.T) {
		served := &endpoint{script: script, said: make(chan *message)}
		trust := authgrpc.FollowTrust(connected(t, telling(served)), options)
		synctest.Wait()
		test(t, served, trust, verifying(t, trust))
		trust.Close()
	})
}

// telling is a server that takes pings as the service does.
func telling(served *endpoint) *grpc.Server {
	server := grpc.NewServer(grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Minute}))
	authapi.RegisterTrustServiceServer(server, served)
	return server
}

// connected is a connection to the server, without sockets.
func connected(t *testing.T, server *grpc.Server) *grpc.ClientConn {
	listener := bufconn.Listen(1 << 20)
	go func() { _ = server.Serve(listener) }()
	dial := func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }
	conn, err := authgrpc.Dial("passthrough:///x", insecure.NewCredentials(), grpc.WithContextDialer(dial))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		server.Stop()
	})
	return conn
}

func verifying(t *testing.T, keys authclient.KeySource) *authclient.Verifier {
	expected := authclient.Expected{Issuer: minting.Issuer, Audience: minting.Audience}
	verifier, err := authclient.NewVerifier(keys, expected)
	if err != nil {
		t.Fatal(err)
	}
	return verifier
}

func expect[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, expected %v", what, got, want)
	}
}

// verdict is why the token is refused, "" if it is not, or "unavailable".
func verdict(t *testing.T, verifier *authclient.Verifier, token string) authclient.Reason {
	t.Helper()
	_, err := verifier.VerifyToken(t.Context(), token)
	if refused, ok := errors.AsType[*authclient.RefusedError](err); ok {
		return refused.Reason
	}
	if errors.Is(err, authclient.ErrKeysUnavailable) {
		return "unavailable"
	}
	if err != nil {
		t.Error(err)
	}
	return ""
}

func usual() string { return minting.First().Token(nil) }

func of(session string) string { return minting.First().Token(map[string]any{"sid": session}) }

func first() *authapi.TrustedKeys { return keysOf(minting.First()) }

func TestAVerifierIsFedBothKeysAndRevocations(t *testing.T) {
	script := []*message{chunk(first(), true)}
	following(t, authgrpc.TrustOptions{}, script, func(
		t *testing.T, served *endpoint, trust *authgrpc.TrustStream, verifier *authclient.Verifier,
	) {
		expect(t, "before", verdict(t, verifier, usual()), "")

		served.say(change(nil, minting.Session))

		expect(t, "after", verdict(t, verifier, usual()), authclient.Revoked)
		expect(t, "another session", verdict(t, verifier, of("another")), "")
		want := authgrpc.TrustHealth{IsFollowing: true, HasKeys: true, Version: "1", Keys: 1, RevokedSessions: 1}
		expect(t, "health", fmt.Sprint(trust.Health()), fmt.Sprint(want))
	})
}

func TestAKeyThatWasRevokedTakesItsTokensAlong(t *testing.T) {
	script := []*message{chunk(first(), true)}
	following(t, authgrpc.TrustOptions{}, script, func(
		t *testing.T, served *endpoint, _ *authgrpc.TrustStream, verifier *authclient.Verifier,
	) {
		keys := keysOf(minting.Second())
		keys.RevokedKids = []string{"first"}

		served.say(change(keys))

		expect(t, "its token", verdict(t, verifier, usual()), authclient.RevokedKey)
		expect(t, "of the next key", verdict(t, verifier, minting.Second().Token(nil)), "")
	})
}

func TestAKeyThatWasRevokedStaysSoWhereTheNextStreamLeadsToAReplicaThatDoesNotKnow(t *testing.T) {
	unaware := keysOf(minting.First(), minting.Second())
	following(t, authgrpc.TrustOptions{}, []*message{chunk(unaware, true)}, func(
		t *testing.T, served *endpoint, trust *authgrpc.TrustStream, verifier *authclient.Verifier,
	) {
		keys := keysOf(minting.Second())
		keys.RevokedKids = []string{"first"}
		served.say(change(keys))
		served.cut()
		time.Sleep(time.Second)
		synctest.Wait()

		expect(t, "streams after the first", trust.Health().Reconnects, 1)
		expect(t, "follows", trust.Health().IsFollowing, true)
		expect(t, "of a snapshot", verdict(t, verifier, usual()), authclient.RevokedKey)
		expect(t, "of the next key", verdict(t, verifier, minting.Second().Token(nil)), "")

		served.say(change(unaware))

		expect(t, "of a change", verdict(t, verifier, usual()), authclient.RevokedKey)
	})
}

func TestASnapshotCountsWithItsLastChunk(t *testing.T) {
	script := []*message{chunk(first(), false, "x")}
	following(t, authgrpc.TrustOptions{}, script, func(
		t *testing.T, served *endpoint, trust *authgrpc.TrustStream, verifier *authclient.Verifier,
	) {
		expect(t, "half a snapshot", verdict(t, verifier, usual()), "unavailable")

		served.say(chunk(nil, true, minting.Session))

		expect(t, "follows", trust.Health().IsFollowing, true)
		expect(t, "of the last chunk", verdict(t, verifier, usual()), authclient.Revoked)
		expect(t, "of the first chunk", verdict(t, verifier, of("x")), authclient.Revoked)
		expect(t, "another", verdict(t, verifier, of("another")), "")
	})
}

func TestASnapshotThatIsCutBeginsAnewAndLeavesWhatWasKnown(t *testing.T) {
	script := []*message{chunk(first(), true, "x")}
	following(t, authgrpc.TrustOptions{}, script, func(
		t *testing.T, served *endpoint, trust *authgrpc.TrustStream, verifier *authclient.Verifier,
	) {
		served.begins(nil, chunk(keysOf(minting.Second()), false, minting.Session))
		served.cut()
		time.Sleep(time.Second)
		synctest.Wait()
		served.cut()
		time.Sleep(time.Second)
		synctest.Wait()

		// Half a snapshot: its sessions have ended all the same, and the keys are still those of the whole one.
		expect(t, "of half a snapshot", verdict(t, verifier, usual()), authclient.Revoked)
		expect(t, "of the whole one", verdict(t, verifier, of("x")), authclient.Revoked)
		expect(t, "its keys", verdict(t, verifier, of("another")), "")
		expect(t, "cursors", slices.Equal(served.asked(), []string{"", "one", "one"}), true)
		expect(t, "reconnects", trust.Health().Reconnects, 2)
	})
}

func TestHalvesOfTwoSnapshotsAreNoWhole(t *testing.T) {
	script := []*message{chunk(first(), true)}
	following(t, authgrpc.TrustOptions{}, script, func(
		t *testing.T, served *endpoint, trust *authgrpc.TrustStream, verifier *authclient.Verifier,
	) {
		served.begins(nil, chunk(keysOf(minting.Second()), false))
		served.cut()
		time.Sleep(time.Second)
		synctest.Wait()
		served.begins(nil, chunk(nil, true))
		served.cut()
		time.Sleep(time.Second)
		synctest.Wait()

		expect(t, "says why", errors.Is(trust.Health().Err, authclient.ErrKeySetRefused), true)
		expect(t, "its keys", verdict(t, verifier, usual()), "")
	})
}

func TestAStreamThatIsCutGoesOnAtItsCursor(t *testing.T) {
	script := []*message{chunk(first(), true)}
	following(t, authgrpc.TrustOptions{}, script, func(
		t *testing.T, served *endpoint, trust *authgrpc.TrustStream, verifier *authclient.Verifier,
	) {
		served.say(heartbeat("later", 0))
		served.begins(nil, change(nil, minting.Session))

		served.cut()
		expect(t, "follows meanwhile", trust.Health().IsFollowing, false)
		time.Sleep(time.Second)
		synctest.Wait()

		expect(t, "missed nothing", verdict(t, verifier, usual()), authclient.Revoked)
		expect(t, "cursors", slices.Equal(served.asked(), []string{"", "later"}), true)
		expect(t, "follows", trust.Health().IsFollowing, true)
	})
}

func TestWhileTheServiceIsAwayWhatWasToldStaysUntilItIsTooOld(t *testing.T) {
	script := []*message{chunk(first(), true, "x")}
	following(t, authgrpc.TrustOptions{MaxStale: 5 * time.Minute}, script, func(
		t *testing.T, served *endpoint, trust *authgrpc.TrustStream, verifier *authclient.Verifier,
	) {
		away := status.Error(codes.Unavailable, "away")
		served.begins(away)
		served.cut()

		time.Sleep(299 * time.Second)
		expect(t, "a good token", verdict(t, verifier, usual()), "")
		expect(t, "an ended session", verdict(t, verifier, of("x")), authclient.Revoked)
		expect(t, "tries", len(served.asked()) > 29 && len(served.asked()) < 80, true)
		time.Sleep(2 * time.Second)
		expect(t, "past max stale", verdict(t, verifier, usual()), "unavailable")
		expect(t, "age", trust.Health().Age, 301*time.Second)
		expect(t, "says why", status.Code(trust.Health().Err), codes.Unavailable)
		served.begins(nil, heartbeat("one", 0))
		time.Sleep(11 * time.Second)

		expect(t, "recovered", verdict(t, verifier, usual()), "")
	})
}

func TestWhoSaysSoGoesOnHoweverLongTheServiceIsAway(t *testing.T) {
	script := []*message{chunk(first(), true)}
	following(t, authgrpc.TrustOptions{MaxStale: authgrpc.Forever, LongestPause: time.Hour}, script, func(
		t *testing.T, served *endpoint, _ *authgrpc.TrustStream, verifier *authclient.Verifier,
	) {
		served.begins(status.Error(codes.Unavailable, "away"))
		served.cut()

		time.Sleep(100 * 24 * time.Hour)

		expect(t, "a good token", verdict(t, verifier, usual()), "")
	})
}

func TestWhatAServerHasNotReadLatelyIsNotFresh(t *testing.T) {
	old := chunk(first(), true)
	old.Age = durationpb.New(6 * time.Minute)
	following(t, authgrpc.TrustOptions{MaxStale: 5 * time.Minute}, []*message{old}, func(
		t *testing.T, served *endpoint, trust *authgrpc.TrustStream, verifier *authclient.Verifier,
	) {
		expect(t, "old news", verdict(t, verifier, usual()), "unavailable")
		expect(t, "silence", trust.Health().Silence, 0)

		served.say(heartbeat("two", 0))

		expect(t, "fresh news", verdict(t, verifier, usual()), "")
	})
}

func TestAStreamThatIsSilentForLongerThanPromisedIsBegunAnew(t *testing.T) {
	script := []*message{chunk(first(), true)}
	following(t, authgrpc.TrustOptions{}, script, func(
		t *testing.T, served *endpoint, trust *authgrpc.TrustStream, verifier *authclient.Verifier,
	) {
		time.Sleep(2*time.Hour - time.Second)
		expect(t, "not yet", len(served.asked()), 1)
		time.Sleep(2 * time.Second)
		synctest.Wait()

		expect(t, "cursors", slices.Equal(served.asked(), []string{"", "one"}), true)
		expect(t, "a good token", verdict(t, verifier, usual()), "")
		expect(t, "reconnects", trust.Health().Reconnects, 1)
	})
}

func TestAStreamThatNeverBeginsIsBegunAnew(t *testing.T) {
	following(t, authgrpc.TrustOptions{}, nil, func(
		t *testing.T, served *endpoint, trust *authgrpc.TrustStream, verifier *authclient.Verifier,
	) {
		expect(t, "a token", verdict(t, verifier, usual()), "unavailable")
		served.begins(nil, chunk(first(), true))
		time.Sleep(11 * time.Second)
		synctest.Wait()

		expect(t, "a token then", verdict(t, verifier, usual()), "")
		expect(t, "streams", len(served.asked()), 2)
	})
}

func TestAKeySetWithoutAUsableKeyReplacesNone(t *testing.T) {
	elliptic, other := keysOf(minting.First()), keysOf(minting.First())
	elliptic.Keys[0].Kty, other.Keys[0].Alg = "EC", "RS512"
	for name, keys := range map[string]*authapi.TrustedKeys{"empty": keysOf(), "EC": elliptic, "RS512": other} {
		t.Run(name, func(t *testing.T) {
			script := []*message{chunk(first(), true)}
			following(t, authgrpc.TrustOptions{}, script, func(
				t *testing.T, served *endpoint, trust *authgrpc.TrustStream, verifier *authclient.Verifier,
			) {
				served.say(change(keys, "x"))
				expect(t, "says why", errors.Is(trust.Health().Err, authclient.ErrKeySetRefused), true)
				time.Sleep(time.Second)
				synctest.Wait()

				// And the cursor has not gone past it.
				expect(t, "cursors", slices.Equal(served.asked(), []string{"", "one"}), true)
				expect(t, "a good token", verdict(t, verifier, usual()), "")
				expect(t, "an ended session", verdict(t, verifier, of("x")), authclient.Revoked)
			})
		})
	}
}

func TestAKeySetWithoutAUsableKeyStillSaysWhichAreRevoked(t *testing.T) {
	script := []*message{chunk(keysOf(minting.First(), minting.Second()), true)}
	following(t, authgrpc.TrustOptions{}, script, func(
		t *testing.T, served *endpoint, trust *authgrpc.TrustStream, verifier *authclient.Verifier,
	) {
		none := keysOf()
		none.RevokedKids = []string{"first"}

		served.say(change(none))

		expect(t, "says why", errors.Is(trust.Health().Err, authclient.ErrKeySetRefused), true)
		expect(t, "of the revoked key", verdict(t, verifier, usual()), authclient.RevokedKey)
		expect(t, "of the other", verdict(t, verifier, minting.Second().Token(nil)), "")
	})
}

func TestWhatIsNotUnderstoodIsNotSkipped(t *testing.T) {
	script := []*message{chunk(first(), true)}
	following(t, authgrpc.TrustOptions{}, script, func(
		t *testing.T, served *endpoint, _ *authgrpc.TrustStream, verifier *authclient.Verifier,
	) {
		served.say(&message{Cursor: "of a newer service"})
		served.cut()
		time.Sleep(time.Second)
		synctest.Wait()

		expect(t, "cursors", slices.Equal(served.asked(), []string{"", "one"}), true)
		expect(t, "a good token", verdict(t, verifier, usual()), "")
	})
}

func TestSessionsAreForgottenByTheTimeOfTheService(t *testing.T) {
	script := []*message{chunk(first(), true, "x")}
	following(t, authgrpc.TrustOptions{}, script, func(
		t *testing.T, served *endpoint, trust *authgrpc.TrustStream, verifier *authclient.Verifier,
	) {
		// They matter for 12 minutes, and for another 5 to verifiers of the greatest leeway.
		served.say(heartbeat("a", 16*time.Minute))
		expect(t, "after 16 minutes", verdict(t, verifier, of("x")), authclient.Revoked)

		served.say(heartbeat("b", 17*time.Minute))

		expect(t, "after 17 minutes", trust.Health().RevokedSessions, 0)
	})
}

func TestTheServiceSaysWhenToComeBack(t *testing.T) {
	script := []*message{chunk(first(), true)}
	following(t, authgrpc.TrustOptions{}, script, func(
		t *testing.T, served *endpoint, _ *authgrpc.TrustStream, _ *authclient.Verifier,
	) {
		answer := status.New(codes.ResourceExhausted, "too many")
		answer, err := answer.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
		served.begins(answer.Err())
		served.cut()
		time.Sleep(time.Second)
		tries := len(served.asked())

		time.Sleep(58 * time.Second)

		expect(t, "tries within the minute", len(served.asked()), tries)
		time.Sleep(3 * time.Second)
		expect(t, "tries after it", len(served.asked()), tries+1)
	})
}

func TestWhoComesBeforeTheFirstSnapshotWaitsForIt(t *testing.T) {
	following(t, authgrpc.TrustOptions{}, nil, func(
		t *testing.T, served *endpoint, _ *authgrpc.TrustStream, verifier *authclient.Verifier,
	) {
		var callers sync.WaitGroup
		for range 20 {
			callers.Go(func() { expect(t, "who waits", verdict(t, verifier, usual()), "") })
		}
		synctest.Wait()

		served.say(chunk(first(), true))

		callers.Wait()
	})
}

func TestWhileTheStreamIsAwayNewKeysComeFromTheFallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		revoked := keysOf(minting.First())
		revoked.RevokedKids = []string{"third"}
		served := &endpoint{script: []*message{chunk(revoked, true, "x")}, said: make(chan *message)}
		fallback, err := authclient.NewHTTPKeys("http://jwks/", authclient.HTTPOptions{Transport: answering(
			minting.KeySet(minting.First(), minting.Second(), minting.Third()),
		)})
		if err != nil {
			t.Fatal(err)
		}
		defer fallback.Close()
		time.Sleep(time.Second)
		trust := authgrpc.FollowTrust(connected(t, telling(served)), authgrpc.TrustOptions{
			Fallback: fallback, MaxStale: time.Minute, FailClosedAfter: time.Hour,
		})
		defer trust.Close()
		synctest.Wait()
		verifier, second := verifying(t, trust), minting.Second().Token(map[string]any{"exp": began.Add(24 * time.Hour).Unix()})
		expect(t, "while it is followed", verdict(t, verifier, second), authclient.UnknownKey)

		served.begins(status.Error(codes.Unavailable, "away"))
		served.cut()
		_, err = verifier.VerifyNow(second)
		expect(t, "the stream is ahead of it", err != nil, true)

		expect(t, "a new key is asked for", verdict(t, verifier, second), "")
		expect(t, "an ended session", verdict(t, verifier, of("x")), authclient.Revoked)
		expect(t, "a revoked key", verdict(t, verifier, minting.Third().Token(nil)), authclient.RevokedKey)
		time.Sleep(time.Hour + time.Second)
		expect(t, "away for too long", verdict(t, verifier, second), "unavailable")
	})
}

func TestAServerThatHasHeardNothingForLongIsNoBetterThanNone(t *testing.T) {
	old := chunk(first(), true)
	old.Age = durationpb.New(3 * time.Minute)
	bound := authgrpc.TrustOptions{FailClosedAfter: 2 * time.Minute}
	following(t, bound, []*message{old}, func(
		t *testing.T, served *endpoint, trust *authgrpc.TrustStream, verifier *authclient.Verifier,
	) {
		expect(t, "follows", trust.Health().IsFollowing, true)
		expect(t, "its database is away", verdict(t, verifier, usual()), "unavailable")

		served.say(heartbeat("later", 0))

		expect(t, "it is back", verdict(t, verifier, usual()), "")
	})
}

func TestItSaysWhatItIsAndWhatItIsCalled(t *testing.T) {
	named := authgrpc.TrustOptions{ConsumerName: "scans-3"}
	following(t, named, []*message{chunk(first(), true)}, func(
		t *testing.T, served *endpoint, _ *authgrpc.TrustStream, _ *authclient.Verifier,
	) {
		served.mutex.Lock()
		defer served.mutex.Unlock()
		expect(t, "name", fmt.Sprint(served.brought["x-consumer-name"]), "[scans-3]")
		agent := fmt.Sprint(served.brought["user-agent"])
		expect(t, agent, strings.HasPrefix(agent, "[auth-client (Go) grpc-go/"), true)
	})
}

// answering is a transport that always brings this key set.
type answering []byte

func (a answering) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(a))}, nil
}

func TestAHundredThousandEndedSessions(t *testing.T) {
	sessions := make([]string, 100_000)
	for at := range sessions {
		sessions[at] = minting.Session + string(rune('a'+at%26)) + time.Duration(at).String()
	}
	// In chunks under 1 MiB, as the service sends them.
	script := []*message{chunk(first(), false)}
	for part := range slices.Chunk(sessions, 10_000) {
		script = append(script, chunk(nil, false, part...))
	}
	script = append(script, chunk(nil, true))
	following(t, authgrpc.TrustOptions{}, script, func(
		t *testing.T, served *endpoint, trust *authgrpc.TrustStream, verifier *authclient.Verifier,
	) {
		expect(t, "known", trust.Health().RevokedSessions, 100_000)
		expect(t, "one of them", verdict(t, verifier, of(sessions[99_999])), authclient.Revoked)

		served.say(heartbeat("late", time.Hour))

		expect(t, "forgotten", trust.Health().RevokedSessions, 0)
	})
}
