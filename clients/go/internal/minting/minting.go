// Package minting makes tokens and key sets for tests.
package minting

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"maps"
	"sync"
	"time"

	"auth.example/authclient/authapi"
	"github.com/go-jose/go-jose/v4"
)

// What tokens say unless told otherwise.
const (
	Issuer   = "https://auth.facility.example"
	Audience = "facility"
	Session  = "7c0a6a1e-2f37-4b0e-8a44-0f6a3f1d9c55"
)

// Key signs tokens.
type Key struct {
	ID      string
	private *rsa.PrivateKey
}

// First, Second and Third are keys, made when first asked for.
var (
	First  = sync.OnceValue(func() Key { return newKey("first") })
	Second = sync.OnceValue(func() Key { return newKey("second") })
	Third  = sync.OnceValue(func() Key { return newKey("third") })
)

func newKey(id string) Key {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return Key{id, private}
}

// JWK is the public half.
func (k Key) JWK() jose.JSONWebKey {
	return jose.JSONWebKey{Key: k.private.Public(), KeyID: k.ID, Algorithm: "RS256", Use: "sig"}
}

// KeySet is a JSON Web Key Set of the public halves.
func KeySet(keys ...Key) []byte {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, key := range keys {
		set.Keys = append(set.Keys, key.JWK())
	}
	return must(json.Marshal(set))
}

// Token is good for 10 minutes and of a person with the role `user`; a claim that is nil in changes is left out.
func (k Key) Token(changes map[string]any) string {
	now := time.Now().Unix()
	claims := map[string]any{
		"iss": Issuer, "aud": []string{Audience}, "sub": "0d7f4c1e", "sid": Session, "jti": "b9c1d8f0",
		"iat": now, "exp": now + 600, "roles": []string{"user"}, "username": "ada",
	}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	options := (&jose.SignerOptions{}).WithType("at+jwt").WithHeader("kid", k.ID)
	signer := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: k.private}, options))
	signed := must(signer.Sign(must(json.Marshal(claims))))
	return must(signed.CompactSerialize())
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// Proto is the public half as the trust stream tells it.
func (k Key) Proto() *authapi.JsonWebKey {
	var members map[string]string
	if err := json.Unmarshal(must(json.Marshal(k.JWK())), &members); err != nil {
		panic(err)
	}
	return &authapi.JsonWebKey{
		Kty: members["kty"], Use: members["use"], Alg: members["alg"], Kid: k.ID, N: members["n"], E: members["e"],
	}
}
