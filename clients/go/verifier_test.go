package authclient_test

import (
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
	keys, err := authclient.ParseKeySet(minting.KeySet(minting.First()), "")
	if err != nil {
		t.Fatal(err)
	}
	expected := authclient.Expected{Issuer: minting.Issuer, Audience: minting.Audience}
	verifier, err := authclient.NewVerifier(authclient.NewFixedKeys(keys), expected)
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"malformed": "s3cret", "claim": minting.First().Token(map[string]any{"username": []string{"s3cret"}}),
		"audience": minting.First().Token(map[string]any{"aud": "s3cret"}),
	} {
		_, err := verifier.VerifyNow(token)

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

func FuzzVerifyNow(f *testing.F) {
	keys, err := authclient.ParseKeySet(minting.KeySet(minting.First()), "")
	if err != nil {
		f.Fatal(err)
	}
	expected := authclient.Expected{Issuer: minting.Issuer, Audience: minting.Audience}
	verifier, err := authclient.NewVerifier(authclient.NewFixedKeys(keys), expected)
	if err != nil {
		f.Fatal(err)
	}
	good := minting.First().Token(nil)
	f.Add(good)
	f.Fuzz(func(t *testing.T, token string) {
		if _, err := verifier.VerifyNow(token); (err == nil) != (token == good) {
			t.Errorf("%q: %v", token, err)
		}
	})
}
