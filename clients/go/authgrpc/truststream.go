package authgrpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"auth.example/authclient"
	"auth.example/authclient/authapi"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Forever, as TrustOptions.MaxStale, goes on with what was last known however long the service is away: sessions that
// end meanwhile are then believed until their tokens expire.
const Forever time.Duration = -1

const (
	firstMessageWithin = 10 * time.Second
	shortestPause      = 200 * time.Millisecond
	pauseAfterSuccess  = 500 * time.Millisecond

	// The metadata by which whoever follows says what it is called.
	consumerName = "x-consumer-name"
)

var (
	errNotBegun = errors.New("no stream was begun yet")
	errEnded    = errors.New("the stream came to its end")
	errSilent   = errors.New("nothing came, not even a heartbeat")
)

// TrustOptions may be left empty; what is 0 has the default that stands beside it.
type TrustOptions struct {
	MaxStale     time.Duration // 24 h. Without news for so long, nothing that was told is trusted. Or Forever.
	Patience     time.Duration // 5 s. For so long VerifyToken waits for the first snapshot.
	LongestPause time.Duration // 10 s, between streams.
	// Fallback gives the keys while no stream is followed, if it has newer ones. It stays the caller's. Which sessions
	// end is then not known; FailClosedAfter says for how long that will do, and is without bound if 0.
	Fallback        *authclient.HTTPKeys
	FailClosedAfter time.Duration
	// ConsumerName is what operators see this verifier as: one of several behind one address.
	ConsumerName string
}

// TrustStream is an authclient.KeySource that also knows which sessions have ended, within a second of their end.
//
//	the stream ends or breaks  what was told stays; the next one begins where this one was, after a short random pause
//	it cannot be had           the pause doubles, from 0.2 s up to LongestPause
//	nothing comes, not even a heartbeat, for twice as long as was promised: the stream is broken
//	meanwhile                  keys come from Fallback, where there is one and it has newer ones
//	nothing new for long       past MaxStale, or FailClosedAfter, nothing is trusted: authclient.ErrKeysUnavailable
type TrustStream struct {
	client  authapi.TrustServiceClient
	options TrustOptions
	beganAt time.Time
	cancel  context.CancelFunc
	over    chan struct{}
	settled chan struct{} // Closed when the first snapshot was told, or could not be had.
	settle  func()

	mutex             sync.RWMutex
	trusted           trusted
	heardAt           time.Time
	streams, failures int
	err               error
}

// TrustHealth is how what is trusted is.
type TrustHealth struct {
	IsFollowing bool
	// Age is for how long the service may have known more than is known here, if HasKeys.
	Age     time.Duration
	HasKeys bool
	// Silence is the time since the last message; 0 before the first.
	Silence time.Duration
	// Reconnects counts the streams after the first.
	Reconnects int
	// Err is why the last stream ended; nil while one is followed.
	Err             error
	Version         string
	Keys            int
	RevokedSessions int
	// LeftOut are the keys that were told and that no token is judged by.
	LeftOut []authclient.LeftOut
}

// FollowTrust begins to follow auth_api.v1.TrustService over conn, which stays the caller's. Close it.
func FollowTrust(conn grpc.ClientConnInterface, options TrustOptions) *TrustStream {
	for option, usual := range map[*time.Duration]time.Duration{
		&options.MaxStale: 24 * time.Hour, &options.Patience: 5 * time.Second, &options.LongestPause: 10 * time.Second,
	} {
		if *option == 0 {
			*option = usual
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	settled := make(chan struct{})
	t := &TrustStream{
		client:  authapi.NewTrustServiceClient(conn),
		options: options,
		beganAt: time.Now(),
		cancel:  cancel,
		over:    make(chan struct{}),
		settled: settled,
		settle:  sync.OnceFunc(func() { close(settled) }),
		err:     errNotBegun,
	}
	go t.follow(ctx)
	return t
}

// Current is the keys, unless none were told yet or too long ago.
func (t *TrustStream) Current() (*authclient.KeySet, error) {
	t.mutex.RLock()
	defer t.mutex.RUnlock()
	knownAt := t.beganAt
	if t.trusted.keys != nil {
		knownAt = t.trusted.trueAt
	}
	// Also of a stream that is followed: its server may itself have heard nothing for long.
	if limit := t.options.FailClosedAfter; limit > 0 && time.Since(knownAt) > limit {
		return nil, fmt.Errorf("%w: the trust stream has told nothing for too long", authclient.ErrKeysUnavailable)
	}
	// While it is followed the stream is right even where the fallback was asked later: caches may hold back a JWKS.
	if t.err == nil || t.options.Fallback == nil {
		return t.toldKeys()
	}
	return t.newerKeys()
}

func (t *TrustStream) toldKeys() (*authclient.KeySet, error) {
	switch {
	case t.trusted.keys == nil:
		return nil, fmt.Errorf("%w: what is trusted has not been told yet", authclient.ErrKeysUnavailable)
	case t.options.MaxStale > 0 && time.Since(t.trusted.trueAt) > t.options.MaxStale:
		return nil, fmt.Errorf("%w: the last news lies too far back", authclient.ErrKeysUnavailable)
	}
	return t.trusted.keys, nil
}

// newerKeys are those of the fallback, less what was told to be revoked, unless the stream is ahead of it.
func (t *TrustStream) newerKeys() (*authclient.KeySet, error) {
	keys, err := t.options.Fallback.Current()
	if err != nil || t.trusted.keys != nil && t.options.Fallback.Health().Age > time.Since(t.trusted.trueAt) {
		return t.toldKeys()
	}
	if t.trusted.keys == nil {
		return keys, nil
	}
	return keys.LessRevokedOf(t.trusted.keys), nil
}

// IsRevoked says whether the session of the token is known to have ended.
func (t *TrustStream) IsRevoked(token *authclient.Token) bool {
	t.mutex.RLock()
	defer t.mutex.RUnlock()
	_, isRevoked := t.trusted.revoked[token.SessionID]
	return isRevoked
}

// LookAgain waits for the first snapshot, if none has come yet and nothing failed. New keys come by themselves. While
// no stream is followed it is the fallback that is asked.
func (t *TrustStream) LookAgain(ctx context.Context) bool {
	select {
	case <-t.settled:
		return t.options.Fallback != nil && !t.Health().IsFollowing && t.options.Fallback.LookAgain(ctx)
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, t.options.Patience)
	defer cancel()
	select {
	case <-t.settled:
		return t.Health().HasKeys
	case <-ctx.Done():
		return false
	}
}

// Health is how what is trusted is now.
func (t *TrustStream) Health() TrustHealth {
	t.mutex.RLock()
	defer t.mutex.RUnlock()
	health := TrustHealth{
		IsFollowing:     t.err == nil,
		Reconnects:      max(0, t.streams-1),
		Err:             t.err,
		RevokedSessions: len(t.trusted.revoked),
	}
	if !t.heardAt.IsZero() {
		health.Silence = time.Since(t.heardAt)
	}
	if keys := t.trusted.keys; keys != nil {
		health.Age, health.HasKeys = time.Since(t.trusted.trueAt), true
		health.Version, health.Keys, health.LeftOut = keys.Version(), keys.Len(), keys.LeftOut()
	}
	return health
}

// Close stops following. What was told stays until it is too old.
func (t *TrustStream) Close() {
	t.cancel()
	<-t.over
	t.settle()
}

func (t *TrustStream) follow(ctx context.Context) {
	defer close(t.over)
	for ctx.Err() == nil {
		err := t.read(ctx)
		t.mutex.Lock()
		t.err = err
		t.failures++
		pause := t.pause(retryAfter(err))
		t.mutex.Unlock()
		t.settle()
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// read follows one stream, and says why it ended.
func (t *TrustStream) read(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(firstMessageWithin, func() { cancel(errSilent) })
	defer silence.Stop()

	t.mutex.Lock()
	t.streams++
	t.trusted.begin()
	request := &authapi.WatchTrustRequest{Cursor: t.trusted.cursor}
	t.mutex.Unlock()
	if t.options.ConsumerName != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, consumerName, t.options.ConsumerName)
	}
	stream, err := t.client.WatchTrust(ctx, request)
	for err == nil {
		var message *authapi.WatchTrustResponse
		if message, err = stream.Recv(); err != nil {
			break
		}
		var within time.Duration
		if within, err = t.take(message); within > 0 {
			silence.Reset(within)
		}
	}
	switch {
	case errors.Is(context.Cause(ctx), errSilent):
		return errSilent
	case errors.Is(err, io.EOF):
		return errEnded
	}
	return err
}

// take also tells within how long the next message must come.
func (t *TrustStream) take(message *authapi.WatchTrustResponse) (time.Duration, error) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.heardAt = time.Now()
	err := t.trusted.take(message)
	if err == nil && message.GetCursor() != "" {
		t.err, t.failures = nil, 0
		t.settle()
	}
	if t.trusted.heartbeatInterval > 0 {
		return 2 * t.trusted.heartbeatInterval, err
	}
	return firstMessageWithin, err
}

// pause is until the next stream; spread, so that those whom a server left do not come back in step.
func (t *TrustStream) pause(least time.Duration) time.Duration {
	if t.failures <= 1 {
		return least + rand.N(pauseAfterSuccess)
	}
	longest := min(t.options.LongestPause, shortestPause<<min(t.failures, 30))
	return max(least, time.Duration(float64(longest)*(0.5+rand.Float64()/2)))
}

// retryAfter is what the service asks for, if it does.
func retryAfter(err error) time.Duration {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok {
			return info.GetRetryDelay().AsDuration()
		}
	}
	return 0
}
