package actors

import (
	"errors"
	"fmt"

	"github.com/asynkron/protoactor-go/actor"
)

// leaving are the ids of children that were told to stop and of whose end their
// parent has not heard. Until then nobody else may have such an id: protoactor
// frees it a moment before, and when the end of the old child is heard, it drops
// whoever has that id from the children, so that a new one would never be stopped.
type leaving map[string]bool

// spawn starts a child under the name, or under one made of it where it is taken.
func (l leaving) spawn(c actor.Context, props *actor.Props, name string) *actor.PID {
	id := name
	for n := 2; ; n++ {
		if !l[c.Self().Id+"/"+id] {
			pid, err := c.SpawnNamed(props, id)
			if err == nil {
				return pid
			}
			if !errors.Is(err, actor.ErrNameExists) {
				panic(fmt.Sprintf("spawn %s: %v", id, err)) // protoactor has no other error
			}
		}
		id = fmt.Sprintf("%s~%d", name, n)
	}
}
