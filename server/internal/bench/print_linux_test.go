package bench

import (
	"fmt"
	"strings"
	"testing"
	"text/tabwriter"
)

// text is the table, its ratios and its bounds.
func (c *contest) text(o outcome) string {
	var all strings.Builder
	fmt.Fprintf(&all, "\n%s\n", c.title)
	if rounds := len(o[c.lines[0].name]); rounds > 1 {
		fmt.Fprintf(&all, "  medians (least–greatest) of %d interleaved rounds\n", rounds)
	}
	if c.without != "" {
		fmt.Fprintf(&all, "  without %s\n", c.without)
	}
	fmt.Fprintln(&all)
	w := tabwriter.NewWriter(&all, 0, 0, 2, ' ', 0)
	head := []string{"  "}
	for _, column := range c.columns {
		head = append(head, column.head)
	}
	fmt.Fprintln(w, strings.Join(append(head, c.multiples()...), "\t")+"\t")
	for _, l := range c.lines {
		cells := []string{"  " + l.name}
		for _, column := range c.columns {
			cell := ""
			if s, ok := o.summary(l.name, column.key); ok {
				cell = s.text(column.decimals)
			}
			cells = append(cells, cell)
		}
		if s, ok := o.ratio(ratio{key: c.columns[0].key, of: l.name, to: l.against}); ok {
			cells = append(cells, s.text(2)+" × "+l.against)
		}
		fmt.Fprintln(w, strings.Join(cells, "\t")+"\t")
	}
	w.Flush()
	fmt.Fprintln(&all)
	w = tabwriter.NewWriter(&all, 0, 0, 2, ' ', 0)
	for _, r := range c.ratios {
		if s, ok := o.ratio(r); ok {
			fmt.Fprintf(w, "  %s\t%s\t%s\n", r.name, s.text(2), r.promise.of(s.median))
		}
	}
	for _, b := range c.bounds {
		if value, ok := o.bound(b); ok {
			fmt.Fprintf(w, "  %s\t%.3g\t%s\n", b.name, value, b.promise.of(value))
		}
	}
	w.Flush()
	return all.String()
}

// multiples is the head of the last column, where there is one.
func (c *contest) multiples() []string {
	for _, l := range c.lines {
		if l.against != "" {
			return []string{c.columns[0].head + ", in multiples"}
		}
	}
	return nil
}

func (o outcome) bound(b bound) (float64, bool) {
	s, ok := o.summary(b.line, b.key)
	if b.worst {
		return s.greatest, ok
	}
	return s.median, ok
}

// benchmark runs a table, prints it, and reports its ratios and bounds as the metrics of a line that go test knows. The line comes
// from a benchmark inside, as go test writes the name of one before it runs, and cuts its log after ten lines.
func benchmark(b *testing.B, of func(testing.TB, size) *contest) {
	s := sizeOf(b)
	c := of(b, s)
	o := c.run(b, s.rounds)
	fmt.Print(c.text(o))
	b.Run("ratios", func(b *testing.B) {
		b.ReportMetric(0, "ns/op") // hides it: it would mean nothing
		for _, r := range c.ratios {
			if s, ok := o.ratio(r); ok {
				b.ReportMetric(s.median, r.unit)
			}
		}
		for _, bound := range c.bounds {
			if value, ok := o.bound(bound); ok {
				b.ReportMetric(value, bound.unit)
			}
		}
	})
}
