package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/ashi-stream/ashi/windows"
)

const (
	chartCandles = 72
	chartRows    = 14
)

// printTable prints the last bar of each pair and size.
func printTable(w io.Writer, all []barsOf, digits map[string]int) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "last bar of\t\tstart\tbid open\thigh\tlow\tclose\task close\tticks\t")
	for _, pair := range pairs(all) {
		for _, of := range all {
			i := slices.IndexFunc(slices.Backward(of.bars), pair)
			if i < 0 {
				continue
			}
		}
	}
	return t.Flush()
}
