package actors

import (
	"errors"
	"fmt"
	"strings"

	"github.com/asynkron/protoactor-go/actor"
)

// children are the names of an actor's children. A child that stops keeps its
// name until its parent has heard of its end: protoactor frees the name a moment
// before, and when the end of the old one is heard, it drops whoever has that
// name from the parent's children, so that a new one would never be stopped.
type children map[string]bool

// spawn starts a child under the name, or under one made of it where it is taken.
func (n children) spawn(c actor.Context, props *actor.Props, name string) *actor.PID {
	id := name
	for i := 2; ; i++ {
		if !n[id] {
			pid, err := c.SpawnNamed(props, id)
			if err == nil {
				n[id] = true
				return pid
			}
			if !errors.Is(err, actor.ErrNameExists) {
				panic(fmt.Sprintf("spawn %s: %v", id, err)) // protoactor has no other error
			}
		}
		id = fmt.Sprintf("%s~%d", name, i)
	}
}

// ended frees the name of a child of which the parent has heard.
func (n children) ended(pid *actor.PID) { delete(n, pid.Id[strings.LastIndexByte(pid.Id, '/')+1:]) }
