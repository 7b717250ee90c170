package authclient_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"auth.example/authclient"
	"auth.example/authclient/internal/minting"
)

func TestWhatIsExpectedMustBeSpeltOut(t *testing.T) {
	for name, expected := range map[string]authclient.Expected{
		"nothing":              {},
		"no issuer":            {Audience: "a"},
		"no audience":          {Issuer: "i"},
		"an audience, and any": {Issuer: "i", Audience: "a", AnyAudience: true},
		"too much leeway":      {Issuer: "i", Audience: "a", Leeway: 5*time.Minute + 1},
	} {
		if _, err := authclient.NewVerifier(authclient.FixedKeys{}, expected); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestNoRefusalShowsTheToken(t *testing.T) {
	for name, token := range map[string]string{
		"malformed": "s3cret", "claim": minting.First().Token(map[string]any{"username": []string{"s3cret"}}),
		"audience": minting.First().Token(map[string]any{"aud": "s3cret"}),
	} {
		_, err := fixed(t).VerifyNow(token)

		expect(t, name, string(reason(err)), name)
		expect(t, "the message is free of it", strings.Contains(err.Error(), "s3cret"), false)
	}
}

func TestADocumentThatIsNoKeySetIsRefused(t *testing.T) {
	for _, document := range []string{"", "{}", "[]", "null", `{"keys":{}}`, `{"keys":null}`, `{"keys":[],"keys":[]}`, "{\"keys\":[]}\xff"} {
		if _, err := authclient.ParseKeySet([]byte(document), ""); !errors.Is(err, authclient.ErrKeySetRefused) {
			t.Errorf("%q: %v", document, err)
		}
	}
}

// fixed is a verifier by one key.
func fixed(t testing.TB) *authclient.Verifier {
	keys, err := authclient.ParseKeySet(minting.KeySet(minting.First()), "")
	if err != nil {
		t.Fatal(err)
	}
	expected := authclient.Expected{Issuer: minting.Issuer, Audience: minting.Audience}
	verifier, err := authclient.NewVerifier(authclient.NewFixedKeys(keys), expected)
	if err != nil {
		t.Fatal(err)
	}
	return verifier
}

// No other spelling of a token is that token: what remembers tokens by their text may rely on it.
func FuzzNoTokenHasASecondSpelling(f *testing.F) {
	verifier, good := fixed(f), minting.First().Token(nil)
	f.Add(good)
	f.Fuzz(func(t *testing.T, token string) {
		if _, err := verifier.VerifyNow(token); (err == nil) != (token == good) {
			t.Errorf("%q: %v", token, err)
		}
	})
}

func FuzzAKeySetIsReadOrRefused(f *testing.F) {
	for _, document := range []string{"{}", `{"keys":[{"kid":"\ud83d\ude00"}]}`, `{"\ud83d":[-1.5e3,null,true]}`} {
		f.Add([]byte(document))
	}
	f.Add(minting.KeySet(minting.First()))
	f.Fuzz(func(t *testing.T, document []byte) {
		if _, err := authclient.ParseKeySet(document, ""); err == nil && !json.Valid(document) {
			t.Errorf("%q is no JSON", document)
		}
	})
}

func BenchmarkVerifyNow(b *testing.B) {
	verifier, token := fixed(b), minting.First().Token(nil)
	for b.Loop() {
		if _, err := verifier.VerifyNow(token); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBareSignature is the part of it that no verifier can do without.
func BenchmarkBareSignature(b *testing.B) {
	token, key := minting.First().Token(nil), minting.First().JWK().Key.(*rsa.PublicKey)
	end := strings.LastIndexByte(token, '.')
	signed := []byte(token[:end])
	signature, err := base64.RawURLEncoding.DecodeString(token[end+1:])
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		digest := sha256.Sum256(signed)
		if err := rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature); err != nil {
			b.Fatal(err)
		}
	}
}
