package authclient_test

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"auth.example/authclient"
	"auth.example/authclient/internal/minting"
)

// endpoint serves the set of its keys, unless it is told to misbehave.
type endpoint struct {
	hits  atomic.Int32
	fault atomic.Pointer[http.HandlerFunc]

	mutex      sync.Mutex
	keys       []minting.Key
	etag       string
	conditions []string // The If-None-Match of each request.
}

func (e *endpoint) serves(etag string, keys ...minting.Key) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.etag, e.keys = etag, keys
}

func (e *endpoint) fails(fault http.HandlerFunc) { e.fault.Store(&fault) }

func (e *endpoint) recovers() { e.fault.Store(nil) }

func (e *endpoint) ServeHTTP(reply http.ResponseWriter, request *http.Request) {
	e.hits.Add(1)
	if fault := e.fault.Load(); fault != nil {
		(*fault)(reply, request)
		return
	}
	e.mutex.Lock()
	defer e.mutex.Unlock()
	condition := request.Header.Get("If-None-Match")
	e.conditions = append(e.conditions, condition)
	reply.Header().Set("Cache-Control", "public, max-age=300")
	reply.Header().Set("ETag", e.etag)
	if condition != "" && condition == e.etag {
		reply.WriteHeader(http.StatusNotModified)
		return
	}
	_, _ = reply.Write(minting.KeySet(e.keys...))
}

// inMemory serves without sockets, so that a synctest bubble may pass the time. It returns the transport to reach it.
func inMemory(t *testing.T, handler http.Handler) http.RoundTripper {
	listener := pipes{make(chan net.Conn), make(chan struct{})}
	server := &http.Server{Handler: handler}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return &http.Transport{DialContext: listener.dial, DisableKeepAlives: true}
}

type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p pipes) dial(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	p.conns <- far
	return near, nil
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error   { close(p.closed); return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{} }

func fetching(t *testing.T, url string, options authclient.HTTPOptions) (*authclient.HTTPKeys, *authclient.Verifier) {
	keys, err := authclient.NewHTTPKeys(url, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(keys.Close)
	expected := authclient.Expected{Issuer: minting.Issuer, Audience: minting.Audience}
	verifier, err := authclient.NewVerifier(keys, expected)
	if err != nil {
		t.Fatal(err)
	}
	return keys, verifier
}

func reason(err error) authclient.Reason {
	if refused, ok := errors.AsType[*authclient.RefusedError](err); ok {
		return refused.Reason
	}
	return authclient.Reason(fmt.Sprint(err))
}

func expect[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, expected %v", what, got, want)
	}
}

const accepted authclient.Reason = "<nil>"

func verdict(t *testing.T, verifier *authclient.Verifier, token string) authclient.Reason {
	_, err := verifier.VerifyToken(t.Context(), token)
	return reason(err)
}

func saying(status int, body string) http.HandlerFunc {
	return func(reply http.ResponseWriter, _ *http.Request) {
		reply.WriteHeader(status)
		_, _ = reply.Write([]byte(body))
	}
}

func faults() map[string]http.HandlerFunc {
	good := string(minting.KeySet(minting.First()))
	return map[string]http.HandlerFunc{
		"500":            saying(http.StatusInternalServerError, "oops"),
		"404 with keys":  saying(http.StatusNotFound, good),
		"201 with keys":  saying(http.StatusCreated, good),
		"204":            saying(http.StatusNoContent, ""),
		"HTML":           saying(http.StatusOK, "<html>log in</html>"),
		"nothing":        saying(http.StatusOK, ""),
		"no object":      saying(http.StatusOK, "[]"),
		"empty set":      saying(http.StatusOK, `{"keys":[]}`),
		"no usable key":  saying(http.StatusOK, `{"keys":[{"kty":"oct","kid":"first","k":"AA"}]}`),
		"private key":    saying(http.StatusOK, strings.Replace(good, `"kty"`, `"d":"AA","kty"`, 1)),
		"RS512":          saying(http.StatusOK, strings.Replace(good, "RS256", "RS512", 1)),
		"same key twice": saying(http.StatusOK, string(minting.KeySet(minting.First(), minting.First()))),
		"deep JSON":      saying(http.StatusOK, `{"keys":`+strings.Repeat("[", 100_000)),
		"two documents":  saying(http.StatusOK, good+good),
		"10 MB":          saying(http.StatusOK, good+strings.Repeat(" ", 10_000_000)),
		"gzip": func(reply http.ResponseWriter, _ *http.Request) {
			reply.Header().Set("Content-Encoding", "gzip")
			packing := gzip.NewWriter(reply)
			_, _ = packing.Write([]byte(good))
			_ = packing.Close()
		},
		"redirect": func(reply http.ResponseWriter, request *http.Request) {
			http.Redirect(reply, request, "/elsewhere", http.StatusFound)
		},
		"connection dropped": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"slow drip": func(reply http.ResponseWriter, request *http.Request) {
			for request.Context().Err() == nil {
				_, _ = reply.Write([]byte(" "))
				_ = http.NewResponseController(reply).Flush()
				time.Sleep(10 * time.Millisecond)
			}
		},
	}
}

func TestAFaultLeavesTheKeysThatWereKnown(t *testing.T) {
	for name, fault := range faults() {
		t.Run(name, func(t *testing.T) {
			served := &endpoint{keys: []minting.Key{minting.First()}}
			server := httptest.NewServer(served)
			defer server.Close()
			keys, verifier := fetching(t, server.URL, authclient.HTTPOptions{Timeout: 2 * time.Second})
			if err := keys.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}

			served.fails(fault)
			err := keys.Refresh(t.Context())

			if err == nil || !errors.Is(keys.Health().Err, err) {
				t.Errorf("the fault was not noticed: %v, %+v", err, keys.Health())
			}
			expect(t, "requests", served.hits.Load(), 2)
			expect(t, "a good token", verdict(t, verifier, minting.First().Token(nil)), accepted)
		})
	}
}

func TestAFaultAtTheBeginningIsNoVerdict(t *testing.T) {
	for name, fault := range faults() {
		t.Run(name, func(t *testing.T) {
			served := &endpoint{keys: []minting.Key{minting.First()}}
			served.fails(fault)
			server := httptest.NewServer(served)
			defer server.Close()
			_, verifier := fetching(t, server.URL, authclient.HTTPOptions{Timeout: 200 * time.Millisecond})

			_, err := verifier.VerifyToken(t.Context(), minting.First().Token(nil))

			if !errors.Is(err, authclient.ErrKeysUnavailable) {
				t.Error(err)
			}
		})
	}
}

func TestKeysAreFetchedAgainBeforeTheyAreTooOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		served := &endpoint{keys: []minting.Key{minting.First()}, etag: `"1"`}
		keys, _ := fetching(t, "http://jwks/", authclient.HTTPOptions{Transport: inMemory(t, served)})
		synctest.Wait()

		time.Sleep(227 * time.Second)
		synctest.Wait()
		expect(t, "requests before 76 % of max-age", served.hits.Load(), 1)
		time.Sleep(26 * time.Second)
		synctest.Wait()

		expect(t, "requests after 84 %", served.hits.Load(), 2)
		expect(t, "condition", served.conditions[1], `"1"`)
		expect(t, "age after a 304", keys.Health().Age < 26*time.Second, true)
		served.serves(`"2"`, minting.First(), minting.Second())
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		expect(t, "keys", keys.Health().Keys, 2)
		expect(t, "version", keys.Health().Version, `"2"`)
	})
}

func TestANewKeyIsFoundAtItsFirstToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		served := &endpoint{keys: []minting.Key{minting.First()}, etag: `"1"`}
		_, verifier := fetching(t, "http://jwks/", authclient.HTTPOptions{Transport: inMemory(t, served)})
		expect(t, "first", verdict(t, verifier, minting.First().Token(nil)), accepted)

		served.serves(`"2"`, minting.Second())

		expect(t, "second", verdict(t, verifier, minting.Second().Token(nil)), accepted)
		expect(t, "withdrawn", verdict(t, verifier, minting.First().Token(nil)), authclient.UnknownKey)
	})
}

func TestAFloodOfUnknownKeysCausesOneFetchInEachCoolDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		served := &endpoint{keys: []minting.Key{minting.First()}}
		_, verifier := fetching(t, "http://jwks/", authclient.HTTPOptions{Transport: inMemory(t, served)})
		synctest.Wait()
		strange := minting.Second().Token(nil)
		flood := func() {
			var callers sync.WaitGroup
			for range 100 {
				callers.Go(func() {
					for range 100 {
						expect(t, "a strange token", verdict(t, verifier, strange), authclient.UnknownKey)
					}
				})
			}
			callers.Wait()
		}

		flood()
		expect(t, "requests", served.hits.Load(), 2)
		time.Sleep(29 * time.Second)
		flood()
		expect(t, "requests within the cool-down", served.hits.Load(), 2)
		time.Sleep(time.Second)
		flood()

		expect(t, "requests after the cool-down", served.hits.Load(), 3)
	})
}

func TestAllWhoWaitShareOneFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		served := &endpoint{keys: []minting.Key{minting.First()}}
		release := make(chan struct{})
		slow := http.HandlerFunc(func(reply http.ResponseWriter, request *http.Request) {
			<-release
			served.ServeHTTP(reply, request)
		})
		_, verifier := fetching(t, "http://jwks/", authclient.HTTPOptions{Transport: inMemory(t, slow)})
		token := minting.First().Token(nil)
		impatient, giveUp := context.WithCancel(t.Context())
		var callers sync.WaitGroup
		for range 50 {
			callers.Go(func() { expect(t, "who waits", verdict(t, verifier, token), accepted) })
		}
		callers.Go(func() {
			if _, err := verifier.VerifyToken(impatient, token); !errors.Is(err, authclient.ErrKeysUnavailable) {
				t.Error(err)
			}
		})
		synctest.Wait()

		giveUp()
		synctest.Wait()
		close(release)
		callers.Wait()

		expect(t, "requests", served.hits.Load(), 1)
	})
}

func TestKeysThatAreTooOldAreNotTrustedUntilTheEndpointIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		served := &endpoint{keys: []minting.Key{minting.First()}}
		options := authclient.HTTPOptions{Transport: inMemory(t, served), MaxStale: time.Hour}
		keys, verifier := fetching(t, "http://jwks/", options)
		synctest.Wait()
		served.fails(saying(http.StatusServiceUnavailable, ""))

		time.Sleep(59 * time.Minute)
		expect(t, "before", verdict(t, verifier, minting.First().Token(nil)), accepted)
		expect(t, "says so", keys.Health().Err != nil, true)
		// One try in 10 s or so, from 4 minutes on.
		expect(t, "requests", served.hits.Load() < 60*6, true)
		time.Sleep(61 * time.Second)
		_, err := verifier.VerifyToken(t.Context(), minting.First().Token(nil))
		expect(t, "after", errors.Is(err, authclient.ErrKeysUnavailable), true)
		served.recovers()
		time.Sleep(11 * time.Second)

		expect(t, "again", verdict(t, verifier, minting.First().Token(nil)), accepted)
	})
}

func TestWithoutKeysTheEndpointIsTriedSoonAndThenLessOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		served := &endpoint{keys: []minting.Key{minting.First()}}
		served.fails(saying(http.StatusServiceUnavailable, ""))
		_, verifier := fetching(t, "http://jwks/", authclient.HTTPOptions{Transport: inMemory(t, served)})

		time.Sleep(time.Minute)
		// 0.5, 1, 2, 4, 8, and then every 10 seconds.
		expect(t, "requests", served.hits.Load() >= 9 && served.hits.Load() <= 12, true)
		for range 1000 {
			_, _ = verifier.VerifyToken(t.Context(), minting.First().Token(nil))
		}

		expect(t, "requests of those who ask", served.hits.Load() <= 13, true)
	})
}

func TestClosedKeysStayAndAreFetchedNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		served := &endpoint{keys: []minting.Key{minting.First()}}
		keys, verifier := fetching(t, "http://jwks/", authclient.HTTPOptions{Transport: inMemory(t, served)})
		synctest.Wait()

		keys.Close()
		time.Sleep(time.Hour)

		expect(t, "a good token", verdict(t, verifier, minting.First().Token(nil)), accepted)
		expect(t, "a strange token", verdict(t, verifier, minting.Second().Token(nil)), authclient.UnknownKey)
		expect(t, "requests", served.hits.Load(), 1)
	})
}

func TestAnEndpointThatSaysNothingHoldsNoConnection(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	left := make(chan struct{}, 3)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(io.Discard, conn)
				left <- struct{}{}
			}()
		}
	}()
	options := authclient.HTTPOptions{Timeout: 50 * time.Millisecond}
	keys, _ := fetching(t, "https://"+listener.Addr().String(), options)

	for range cap(left) {
		if err := keys.Refresh(t.Context()); err == nil {
			t.Error("there are keys")
		}
	}

	for range cap(left) {
		select {
		case <-left:
		case <-time.After(20 * time.Second):
			t.Fatal("a connection is still held")
		}
	}
}

func TestWhatASetLeavesOutIsTold(t *testing.T) {
	served := &endpoint{}
	good := string(minting.KeySet(minting.First()))
	even := `{"kty":"RSA","kid":"even","e":"AQAB","n":"_` + strings.Repeat("A", 341) + `"}`
	served.fails(saying(http.StatusOK, `{"keys":[{"kty":"RSA","kid":"odd","d":"AA"},{"kty":"EC","kid":"other"},`+even+`,`+good[9:]))
	server := httptest.NewServer(served)
	defer server.Close()
	keys, _ := fetching(t, server.URL, authclient.HTTPOptions{})
	if err := keys.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}

	told := fmt.Sprint(keys.Health().LeftOut)

	expect(t, "told", told, `["odd" has members that only a private key has "other" is no RSA key `+
		`"even" is not of 2048 to 8192 bits with the exponent 65537]`)
	expect(t, "keys", keys.Health().Keys, 1)
}

func TestTheEndpointHearsWhatFetchesAndWhatItIsCalled(t *testing.T) {
	heard := make(chan http.Header, 1)
	served := httptest.NewServer(http.HandlerFunc(func(reply http.ResponseWriter, request *http.Request) {
		heard <- request.Header
		_, _ = reply.Write(minting.KeySet(minting.First()))
	}))
	defer served.Close()
	keys, _ := fetching(t, served.URL, authclient.HTTPOptions{ConsumerName: "scans-3"})
	if err := keys.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}

	header := <-heard
	expect(t, "name", header.Get("X-Consumer-Name"), "scans-3")
	expect(t, "agent", header.Get("User-Agent"), "auth-client (Go)")
}

func TestAnAddressThatIsNoneIsRefused(t *testing.T) {
	for _, address := range []string{"", "auth.facility.example", "ftp://auth.facility.example", "http://", "http://a b"} {
		if _, err := authclient.NewHTTPKeys(address, authclient.HTTPOptions{}); err == nil {
			t.Errorf("%q was taken", address)
		}
	}
}
