package config

// maxKey is the length of the longest key that is known, in bytes, or more.
const maxKey = 32

// nearest returns which of the known keys key may have been meant to be; empty: none of them.
func nearest(key string, known []string) string {
	best, least := "", 0
	if len(key) > 2*maxKey {
		return ""
	}
	for _, name := range known {
		if d := distance(key, name); best == "" || d < least {
			best, least = name, d
		}
	}
	if least > max(1, len(best)/3) {
		return ""
	}
	return best
}

// distance returns how many letters must be put in, taken out, changed or swapped with their neighbour to make b of a (optimal
// string alignment). b has at most maxKey bytes.
func distance(a, b string) int {
	var rows [3][maxKey + 1]int // on the stack: a file can have many wrong keys
	before, last, row := &rows[0], &rows[1], &rows[2]
	for j := range len(b) + 1 {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			change := last[j]
			if a[i] != b[j] {
				change++
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, change)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
