package show

import (
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// Table writes rows in columns, the first row being the heads. Cells to the right
// of the last one that is not empty cost no space.
func Table(w io.Writer, rows [][]string) error {
	_, err := io.WriteString(w, strings.Join(append(Lines(rows), ""), "\n"))
	return err
}

const gap = "  "

// Lines are the lines of such a table.
func Lines(rows [][]string) []string {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	lines := make([]string, len(rows))
	for i, row := range rows {
		var b strings.Builder
		for j, cell := range row {
			b.WriteString(cell)
			b.WriteString(strings.Repeat(" ", widths[j]-utf8.RuneCountInString(cell)))
			b.WriteString(gap)
		}
		lines[i] = strings.TrimRight(b.String(), " ")
	}
	return lines
}

// Plain takes control characters out of a text that others wrote, so that it can
// do nothing to a terminal.
func Plain(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, text)
}

// Cut shortens a line to a width; what is missing is an ellipsis.
func Cut(line string, width int) string {
	if width <= 0 || utf8.RuneCountInString(line) <= width {
		return line
	}
	runes := []rune(line)
	return string(runes[:width-1]) + "…"
}

// Terminal returns the width of the terminal that w is, 0 if it is none or is not
// to be written to as one: NO_COLOR, TERM=dumb.
func Terminal(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return 0
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	if size.Col == 0 {
		return 80
	}
	return int(size.Col)
}
