package dsl

import "slices"

// Dropped says that steps with state, and internal topics, that the plan had once are gone for
// good, by the names that they had: what they still hold, such as open windows, is removed. Without
// it a plan that lacks them is refused while they hold anything, since a step that was only renamed
// would begin empty, and emit windows with half of their records. A name stays in the program for
// as long as an instance may start from a state in which the step is; one that the plan never had
// does no harm.
func (b *Builder) Dropped(names ...string) {
	at := place()
	b.plan.Dropped = append(b.plan.Dropped, names...)
	b.atBuild = append(b.atBuild, func() { b.lastly = append(b.lastly, func() { b.checkDropped(at, names) }) })
}

// checkDropped notes names of steps that the plan has.
func (b *Builder) checkDropped(at string, names []string) {
	for _, sub := range b.plan.Subs {
		sub.Dropped = b.plan.Dropped
		for _, o := range sub.Operators() {
			if slices.Contains(names, o.Name) {
				b.wrong(at, "Dropped: %s is in the plan: leave one of the two out", o)
			}
		}
	}
}
