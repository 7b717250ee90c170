package authclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	largestKeySetBody = 256 * 1024
	firstBackOff      = 500 * time.Millisecond
	backOff           = 10 * time.Second

	consumerNameHeader = "X-Consumer-Name"
	// What it is: so the service knows how often it fetches, and that it meets an unknown key by fetching.
	userAgent = "auth-client (Go)"
)

var (
	maxAge     = regexp.MustCompile(`(?i)(?:^|[\s,])max-age\s*=\s*"?(\d{1,9})`)
	noLifetime = regexp.MustCompile(`(?i)(?:^|[\s,])no-(?:store|cache)(?:$|[\s,])`)
)

// HTTPOptions may be left empty; what is 0 has the default that stands beside it.
type HTTPOptions struct {
	CoolDown time.Duration // 30 s. Unknown kids cause one fetch in so long.
	MaxStale time.Duration // 24 h. Without a fetch that succeeded for so long, nothing is trusted.
	Timeout  time.Duration // 5 s, of a whole fetch.
	// max-age is honoured between ShortestLife (10 s) and LongestLife (1 h); without one it is UsualLife (5 min).
	ShortestLife, LongestLife, UsualLife time.Duration
	// ConsumerName is what operators see this verifier as: one of several behind one address.
	ConsumerName string
	// Transport is for another certificate authority or a proxy. The default obeys the proxy variables of the
	// environment.
	Transport http.RoundTripper
}

// HTTPKeys is keys from a JWKS URL, kept fresh in the background, so that a slow or dead endpoint delays no token.
//
// What it refuses to do: follow redirects, read more than 256 KiB, replace good keys by an empty or broken set, let a
// flood of unknown kids reach the endpoint, or trust keys for ever when the endpoint is gone.
//
//	a fetch succeeded    the next one comes at about 80 % of max-age
//	a fetch failed       the old keys stay; the next try comes after 10 s (0.5 s, doubling to 10 s, if there are none)
//	an unknown kid       one fetch for all who ask, then none on their account until the cool-down has passed
//	no success for long  past MaxStale the keys are no longer trusted: ErrKeysUnavailable
type HTTPKeys struct {
	url     string
	options HTTPOptions
	client  http.Client
	context context.Context
	cancel  context.CancelFunc

	mutex                         sync.Mutex
	keys                          *KeySet
	life                          time.Duration
	succeededAt, triedAt, askedAt time.Time
	failures                      int
	err                           error
	fetching                      chan struct{} // Closed when the fetch under way is over; nil if there is none.
	timer                         *time.Timer
}

// KeyHealth is how the keys are.
type KeyHealth struct {
	// Age is the time since the last success, if HasKeys.
	Age     time.Duration
	HasKeys bool
	// Err is nil if the last fetch succeeded.
	Err     error
	Version string
	Keys    int
	// LeftOut are the keys of the set that no token is judged by.
	LeftOut []LeftOut
}

// NewHTTPKeys begins to fetch; Refresh waits for the first answer, and so does the first VerifyToken. Close it.
func NewHTTPKeys(address string, options HTTPOptions) (*HTTPKeys, error) {
	parts, err := url.Parse(address)
	if err != nil || (parts.Scheme != "http" && parts.Scheme != "https") || parts.Hostname() == "" {
		return nil, errors.New("the JWKS URL must begin with http:// or https://")
	}
	for option, usual := range map[*time.Duration]time.Duration{
		&options.CoolDown:     30 * time.Second,
		&options.MaxStale:     24 * time.Hour,
		&options.Timeout:      5 * time.Second,
		&options.ShortestLife: 10 * time.Second,
		&options.LongestLife:  time.Hour,
		&options.UsualLife:    5 * time.Minute,
	} {
		if *option <= 0 {
			*option = usual
		}
	}
	if options.Transport == nil {
		// A connection per fetch: one every few minutes has no use for kept connections.
		options.Transport = &http.Transport{
			Proxy: http.ProxyFromEnvironment,
			// Connecting goes on when the fetch has been given up, and a peer that says nothing would hold it for ever.
			DialContext:            (&net.Dialer{Timeout: options.Timeout}).DialContext,
			TLSHandshakeTimeout:    options.Timeout,
			DisableKeepAlives:      true,
			MaxResponseHeaderBytes: 64 * 1024,
		}
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	h := &HTTPKeys{
		url: address, options: options, client: http.Client{Transport: options.Transport, CheckRedirect: stay},
	}
	h.context, h.cancel = context.WithCancel(context.Background())
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.begin()
	return h, nil
}

// Current is the keys in hand, unless they are too old.
func (h *HTTPKeys) Current() (*KeySet, error) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	switch {
	case h.keys == nil:
		return nil, fmt.Errorf("%w: no key set has been fetched yet", ErrKeysUnavailable)
	case !h.isTrusted():
		return nil, fmt.Errorf("%w: the last fetch that succeeded lies too far back", ErrKeysUnavailable)
	}
	return h.keys, nil
}

// LookAgain joins the fetch under way, or starts one if that is due. True if it succeeded.
func (h *HTTPKeys) LookAgain(ctx context.Context) bool {
	h.mutex.Lock()
	if h.fetching == nil {
		if time.Now().Before(h.nextAsk()) {
			h.mutex.Unlock()
			return false
		}
		// The first fetch is on nobody's account: a key published just after it may still be asked for.
		if h.isTrusted() {
			h.askedAt = time.Now()
		}
	}
	fetching := h.begin()
	h.mutex.Unlock()
	return h.outcome(ctx, fetching) == nil
}

// Refresh fetches now, whatever the cool-down says, or joins the fetch under way. The error is why that failed, or that
// of ctx; the old keys stay, and trying goes on in the background.
func (h *HTTPKeys) Refresh(ctx context.Context) error {
	h.mutex.Lock()
	fetching := h.begin()
	h.mutex.Unlock()
	return h.outcome(ctx, fetching)
}

// Health is how the keys are now.
func (h *HTTPKeys) Health() KeyHealth {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if h.keys == nil {
		return KeyHealth{Err: h.err}
	}
	return KeyHealth{time.Since(h.succeededAt), true, h.err, h.keys.Version(), h.keys.Len(), h.keys.LeftOut()}
}

// Close stops fetching. The keys in hand stay until they are too old.
func (h *HTTPKeys) Close() {
	h.cancel()
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if h.timer != nil {
		h.timer.Stop()
	}
}

func (h *HTTPKeys) isTrusted() bool {
	return h.keys != nil && time.Since(h.succeededAt) <= h.options.MaxStale
}

// backOff is for how long to leave a failing endpoint alone.
func (h *HTTPKeys) backOff() time.Duration {
	if h.isTrusted() {
		return backOff
	}
	return min(firstBackOff<<min(h.failures-1, 10), backOff)
}

// nextAsk is when an unknown kid, or a verifier without keys, may next cause a fetch.
func (h *HTTPKeys) nextAsk() time.Time {
	var afterFailure time.Time
	if h.failures > 0 {
		afterFailure = h.triedAt.Add(h.backOff())
	}
	afterAsking := h.askedAt.Add(h.options.CoolDown)
	if h.isTrusted() && afterAsking.After(afterFailure) {
		return afterAsking
	}
	return afterFailure
}

// begin starts a fetch unless there is one under way; it is over when the channel is closed. The mutex is held.
func (h *HTTPKeys) begin() <-chan struct{} {
	if h.fetching == nil {
		h.fetching = make(chan struct{})
		h.triedAt = time.Now()
		go h.fetch(h.keys)
	}
	return h.fetching
}

func (h *HTTPKeys) outcome(ctx context.Context, fetching <-chan struct{}) error {
	select {
	case <-fetching:
	case <-ctx.Done():
		return ctx.Err()
	}
	h.mutex.Lock()
	defer h.mutex.Unlock()
	return h.err
}

func (h *HTTPKeys) fetch(old *KeySet) {
	ctx, cancel := context.WithTimeout(h.context, h.options.Timeout)
	defer cancel()
	keys, life, err := h.ask(ctx, old)

	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.err = err
	if err != nil {
		h.failures++
	} else {
		h.keys, h.life = keys, min(max(life, h.options.ShortestLife), h.options.LongestLife)
		h.succeededAt, h.failures = time.Now(), 0
	}
	close(h.fetching)
	h.fetching = nil
	h.plan()
}

// plan sets the timer for the next fetch; spread, so that a fleet does not ask in step.
func (h *HTTPKeys) plan() {
	wait := h.life * 8 / 10
	if h.failures > 0 {
		// From the start of the try, so that an endpoint that hangs until the timeout is not noticed later to be back.
		wait = max(0, time.Until(h.triedAt.Add(h.backOff())))
	}
	if h.timer != nil {
		h.timer.Stop()
	}
	if h.context.Err() != nil {
		return
	}
	h.timer = time.AfterFunc(spread(wait, 0.95, 1.05), func() {
		h.mutex.Lock()
		defer h.mutex.Unlock()
		h.begin()
	})
}

// ask is the key set as the endpoint has it now, and for how long it may be kept.
func (h *HTTPKeys) ask(ctx context.Context, old *KeySet) (*KeySet, time.Duration, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, h.url, nil)
	if err != nil {
		return nil, 0, err
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	// Uncompressed, so that the size limit means what it says.
	request.Header.Set("Accept-Encoding", "identity")
	request.Header.Set("User-Agent", userAgent)
	if h.options.ConsumerName != "" {
		request.Header.Set(consumerNameHeader, h.options.ConsumerName)
	}
	isConditional := old != nil && old.Version() != ""
	if isConditional {
		request.Header.Set("If-None-Match", old.Version())
	}
	reply, err := h.client.Do(request)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = reply.Body.Close() }()
	life := lifetime(reply.Header, h.options.UsualLife)
	if reply.StatusCode == http.StatusNotModified && isConditional {
		return old, life, nil
	}
	if reply.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("%w: the JWKS endpoint answered %d", ErrKeySetRefused, reply.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(reply.Body, largestKeySetBody+1))
	if err != nil {
		return nil, 0, err
	}
	if len(body) > largestKeySetBody {
		return nil, 0, fmt.Errorf("%w: it is larger than 256 KiB", ErrKeySetRefused)
	}
	keys, err := ParseKeySet(body, printable(reply.Header.Get("ETag")))
	if err != nil {
		return nil, 0, err
	}
	return keys, life, keys.RefuseIfEmpty()
}

// printable is etag, unless it is odd: it could not be sent back, and would then spoil every fetch to come.
func printable(etag string) string {
	isOdd := func(letter rune) bool { return letter < ' ' || letter > '~' }
	if strings.ContainsFunc(etag, isOdd) {
		return ""
	}
	return etag
}

// lifetime is for how long a reply stays fresh (RFC 9111 section 4.2.1): max-age less the Age it already has.
func lifetime(header http.Header, usual time.Duration) time.Duration {
	control := strings.Join(header.Values("Cache-Control"), ",")
	if noLifetime.MatchString(control) {
		return 0
	}
	found := maxAge.FindStringSubmatch(control)
	if found == nil {
		return usual
	}
	fresh, _ := strconv.Atoi(found[1])
	spent, err := strconv.Atoi(header.Get("Age"))
	if err != nil || spent < 0 || spent > math.MaxInt32 {
		spent = 0
	}
	return time.Duration(fresh-spent) * time.Second
}

// spread is somewhere between the two parts of a duration.
func spread(duration time.Duration, least, most float64) time.Duration {
	return time.Duration(float64(duration) * (least + rand.Float64()*(most-least)))
}
