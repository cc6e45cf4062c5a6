package repl

import (
	"slices"
	"strings"
)

// completions returns the lines that complete offers for head, in order. Those
// with anything in them that could act on the terminal are left out: some hold
// names that others chose.
func completions(head string, complete func(string) []string) []string {
	lines := slices.DeleteFunc(slices.Clone(complete(head)), func(line string) bool {
		return !strings.HasPrefix(line, head) || Clean(line) != line
	})
	slices.Sort(lines)
	return slices.Compact(lines)
}

// common returns what all lines share beyond head, which all begin with.
func common(lines []string, head string) string {
	if len(lines) == 0 {
		return ""
	}
	shared := []rune(lines[0])
	for _, line := range lines[1:] {
		n := 0
		for _, r := range line {
			if n == len(shared) || shared[n] != r {
				break
			}
			n++
		}
		shared = shared[:n]
	}
	return strings.TrimPrefix(string(shared), head)
}

// choices returns the last word of each line, for someone to choose from.
func choices(lines []string) string {
	words := make([]string, len(lines))
	for i, line := range lines {
		line = strings.TrimRight(line, " ")
		words[i] = Inline(line[strings.LastIndexByte(line, ' ')+1:])
	}
	return strings.Join(words, "  ")
}
