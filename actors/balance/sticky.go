package balance

import (
	"time"

	"github.com/cespare/xxhash/v2"
)

// stick gives a session its member as long as that may be picked, whatever its rank or
// tier and be it in slow start; a new session, or one whose member is out, gets a member
// by the pick and keeps that one. In panic mode the last resort has and keeps sessions
// too. A retry that passes over a session's member because the request tried it
// moves the session only if the member is out by now: one failure is no reason to
// leave what the session has there, and if it was a bad one the member soon is out.
func (b *Balancer) stick(now time.Duration, key string, retry bool) (int, error) {
	if key == "" {
		return b.choose(now, key, retry)
	}
	hash := xxhash.Sum64String(key)
	stays := false
	if i := b.sessions.find(hash, now); i != nobody {
		m := &b.members[i]
		if m.place <= b.lowest() {
			return int(i), nil
		}
		stays = b.place(m.status) <= b.lowest() // hidden
	}
	i, err := b.choose(now, key, retry)
	if err == nil && !stays {
		b.sessions.put(hash, int32(i), now)
	}
	return i, err
}

// sessions remembers where sessions are: those of late, up to a number. It is an LRU
// list in a slice, with a map to find by key. A library's would allocate an entry for
// each session, and keep pointers that the garbage collector follows; here the keys
// are hashes, and two sessions of one hash merely share a member.
type sessions struct {
	idle  time.Duration // after which a session is over
	most  int
	byKey map[uint64]int32
	list  []session // a ring from the newest to the oldest, closed by list[0]
}

type session struct {
	key          uint64
	used         time.Duration
	member       int32 // index or nobody
	newer, older int32
}

// nobody is in place of an index.
const nobody = -1

func newSessions(idle time.Duration, most int) *sessions {
	return &sessions{idle: idle, most: most, byKey: map[uint64]int32{}, list: make([]session, 1)}
}

// find returns the member of a session that is not over, or nobody, and begins its
// idle time anew.
func (s *sessions) find(key uint64, now time.Duration) int32 {
	i, ok := s.byKey[key]
	if !ok || now-s.list[i].used >= s.idle {
		return nobody
	}
	s.list[i].used = now
	s.unlink(i)
	s.link(i)
	return s.list[i].member
}

// put notes a session's member. When the list is full, the session whose use is
// longest ago goes.
func (s *sessions) put(key uint64, member int32, now time.Duration) {
	i, ok := s.byKey[key]
	switch {
	case ok:
		s.unlink(i)
	case len(s.list) <= s.most:
		i = int32(len(s.list))
		s.list = append(s.list, session{})
	default:
		i = s.list[0].newer
		s.unlink(i)
		delete(s.byKey, s.list[i].key)
	}
	s.byKey[key] = i
	s.list[i] = session{key: key, used: now, member: member}
	s.link(i)
}

func (s *sessions) unlink(i int32) {
	e := &s.list[i]
	s.list[e.newer].older, s.list[e.older].newer = e.older, e.newer
}

// link makes an entry the newest. The ring's end has the newest for its older one and
// the oldest for its newer one.
func (s *sessions) link(i int32) {
	e, newest := &s.list[i], s.list[0].older
	e.newer, e.older = 0, newest
	s.list[newest].newer, s.list[0].older = i, i
}

// follow gives the members of old their new indexes. Sessions of those that are gone
// have nobody.
func (s *sessions) follow(old []member, byID map[string]int32) {
	now := make([]int32, len(old))
	for i := range old {
		now[i] = nobody
		if j, ok := byID[old[i].ID]; ok {
			now[i] = j
		}
	}
	for i := range s.list {
		if e := &s.list[i]; i > 0 && e.member != nobody {
			e.member = now[e.member]
		}
	}
}
