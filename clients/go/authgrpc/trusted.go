package authgrpc

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"auth.example/authclient"
	"auth.example/authclient/authapi"
)

// A token of any verifier may be believed for so many seconds after its exp: the longest leeway.
const longestLeeway = 5 * 60

// trusted is what the stream has told so far. No I/O, and no lock of its own.
//
//	a snapshot           its sessions count at once, its keys and its cursor with the last chunk
//	a change             more sessions, and another key set where there is one
//	a session            stays refused until no token of it is left, by the service's clock and not by this machine's
//	a revoked key        stays refused, whatever other replicas still tell
//	an unusable key set  is left out: the keys that were known stay, less those that it says are revoked
type trusted struct {
	keys   *authclient.KeySet
	coming *authclient.KeySet
	cursor string
	// What is known here was all there was to know then.
	trueAt time.Time
	// Within so long another message comes; 0 before the first snapshot.
	heartbeatInterval time.Duration

	// Ended sessions, and the second until which they matter; and their ids in the order in which they were told.
	revoked map[string]int64
	told    []string
}

// begin is called for each new stream: what was left of a snapshot that was cut does not count.
func (t *trusted) begin() { t.coming = nil }

// take fails with authclient.ErrKeySetRefused for a key set without a usable key; everything else in the message
// counts.
func (t *trusted) take(message *authapi.WatchTrustResponse) error {
	switch what := message.GetWhat().(type) {
	case *authapi.WatchTrustResponse_Snapshot:
		if err := t.takeChunk(what.Snapshot); err != nil {
			return err
		}
	case *authapi.WatchTrustResponse_Change:
		t.refuse(what.Change.GetRevoked())
		t.forget(message.GetNow().GetSeconds())
		if what.Change.GetKeys() != nil {
			keys, err := t.keySet(what.Change.GetKeys())
			if err != nil {
				return err
			}
			t.keys = keys
		}
	case *authapi.WatchTrustResponse_Heartbeat:
		t.heartbeatInterval = what.Heartbeat.GetHeartbeatInterval().AsDuration()
		t.forget(message.GetNow().GetSeconds())
	default:
		// From a newer service. Its cursor would skip what is not understood here.
		return nil
	}
	if message.GetCursor() != "" {
		t.cursor = message.GetCursor()
		t.trueAt = time.Now().Add(-max(0, message.GetAge().AsDuration()))
	}
	return nil
}

func (t *trusted) takeChunk(chunk *authapi.TrustSnapshotChunk) error {
	t.refuse(chunk.GetRevoked())
	if chunk.GetKeys() != nil {
		keys, err := t.keySet(chunk.GetKeys())
		if err != nil {
			return err
		}
		t.coming = keys
	}
	if !chunk.GetLast() {
		return nil
	}
	if t.coming == nil {
		return fmt.Errorf("%w: the snapshot has none that is usable", authclient.ErrKeySetRefused)
	}
	t.keys, t.coming = t.coming, nil
	t.heartbeatInterval = chunk.GetHeartbeatInterval().AsDuration()
	return nil
}

func (t *trusted) refuse(groups []*authapi.RevokedSessions) {
	if t.revoked == nil {
		t.revoked = map[string]int64{}
	}
	for _, group := range groups {
		until := group.GetUntil().GetSeconds() + longestLeeway
		for _, sessionID := range group.GetSessionIds() {
			former, isKnown := t.revoked[sessionID]
			if !isKnown {
				t.told = append(t.told, sessionID)
			}
			t.revoked[sessionID] = max(until, former)
		}
	}
}

// forget drops the sessions that matter no longer. They were told in the order in which they end to matter, give or
// take: the rest need not be looked at.
func (t *trusted) forget(moment int64) {
	for len(t.told) > 0 && t.revoked[t.told[0]] <= moment {
		delete(t.revoked, t.told[0])
		t.told[0] = ""
		t.told = t.told[1:]
	}
}

// keySet puts the keys under the same rules as those of a document.
func (t *trusted) keySet(told *authapi.TrustedKeys) (*authclient.KeySet, error) {
	type key struct {
		KeyType   string `json:"kty"`
		Use       string `json:"use"`
		Algorithm string `json:"alg"`
		KeyID     string `json:"kid"`
		N         string `json:"n"`
		E         string `json:"e"`
	}
	keys := make([]key, 0, len(told.GetKeys()))
	for _, each := range told.GetKeys() {
		keys = append(keys, key{each.GetKty(), each.GetUse(), each.GetAlg(), each.GetKid(), each.GetN(), each.GetE()})
	}
	document, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		return nil, err
	}
	set, err := authclient.ParseKeySet(document, strconv.FormatInt(told.GetRingVersion(), 10), told.GetRevokedKids()...)
	if err != nil {
		return nil, err
	}
	if t.keys != nil {
		// The next stream may lead to a replica that has not heard of it yet, and a revoked key never returns.
		set = set.LessRevokedOf(t.keys)
		if set.Len() == 0 {
			t.keys = t.keys.LessRevokedOf(set)
		}
	}
	return set, set.RefuseIfEmpty()
}
