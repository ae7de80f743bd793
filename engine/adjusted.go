package engine

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// tellEvery is the least time between log lines about values that were made to fit.
const tellEvery = 10 * time.Second

// valueOf is a column of a type of rows.
type valueOf struct{ row, column string }

// adjustedValues is how many values of each column the plan's codecs have cut or rounded.
func (e *Engine) adjustedValues() map[valueOf]int64 {
	all := map[valueOf]int64{}
	for _, a := range e.plan.Adjusters {
		for column, n := range a.Adjusted() {
			all[valueOf{a.Row, column}] += n
		}
	}
	return all
}

// adjustments tells in the log what was cut or rounded since it last did. It is owned by
// Engine.watch.
type adjustments struct {
	told map[valueOf]int64
	at   time.Time
}

// tell logs what is new; not sooner than tellEvery after the last time, unless it is the last.
func (a *adjustments) tell(e *Engine, now time.Time, last bool) {
	if len(e.plan.Adjusters) == 0 || !last && now.Sub(a.at) < tellEvery {
		return
	}
	all := e.adjustedValues()
	order := func(v, w valueOf) int { return strings.Compare(v.row+"."+v.column, w.row+"."+w.column) }
	for _, v := range slices.SortedFunc(maps.Keys(all), order) {
		if n := all[v] - a.told[v]; n > 0 {
			e.cfg.Log.Warn("values were cut or rounded to fit their column", "row", v.row, "column", v.column,
				"values", n)
			a.at = now
		}
	}
	a.told = all
}
