package cluster

import (
	"log/slog"
	"strconv"
	"testing"
	"time"
)

func TestComplaintsAreNotRepeated(t *testing.T) {
	r := &reporter{said: map[string]time.Time{}}
	start := time.Unix(0, 0)
	for _, step := range []struct {
		after time.Duration
		text  string
		want  slog.Level
	}{
		{0, "a", slog.LevelWarn},
		{time.Second, "a", slog.LevelDebug},
		{time.Second, "b", slog.LevelWarn},
		{repeatAfter - 1, "a", slog.LevelDebug},
		{repeatAfter, "a", slog.LevelWarn},
		{repeatAfter + time.Second, "a", slog.LevelDebug},
		{repeatAfter + time.Second, "b", slog.LevelWarn},
	} {
		if got := r.level(step.text, start.Add(step.after)); got != step.want {
			t.Fatalf("after %v, %s: %v, want %v", step.after, step.text, got, step.want)
		}
	}
	for i := range 10 * saidMax {
		r.level(strconv.Itoa(i), start)
		if len(r.said) > saidMax {
			t.Fatalf("%d complaints remembered", len(r.said))
		}
	}
}
