package mailbox

import "errors"

// errGoexit is the reason that supervision is given where there was no panic.
var errGoexit = errors.New("mailbox: the actor called runtime.Goexit")

// invoke runs one message. False means that the caller is no longer the runner and
// must let go: the mailbox was handed over.
func (m *Mailbox) invoke(msg any, system bool) (still bool) {
	defer func() {
		if !still {
			still = m.fail(recover(), msg, system)
		}
	}()
	if system {
		m.inv.InvokeSystemMessage(msg)
	} else {
		m.inv.InvokeUserMessage(msg)
	}
	return true
}

// fail escalates the failure of msg. No reason means that this goroutine is dying
// of runtime.Goexit, and only its deferred functions still run: then, as when
// escalation itself panics, a new goroutine takes the mailbox over.
//
// In a nested run the dying goroutine passes here once for each mailbox that it
// runs, the innermost first.
func (m *Mailbox) fail(reason, msg any, system bool) (still bool) {
	defer func() {
		if !still {
			go m.runOwn()
		}
	}()
	m.escalate(reason, msg, system)
	return reason != nil
}

func (m *Mailbox) escalate(reason, msg any, system bool) {
	if m.failed != nil && !system {
		defer m.failed(msg)
	}
	if reason == nil {
		reason = errGoexit
	}
	m.inv.EscalateFailure(reason, msg)
}
