package streamstest

// differentJoin is an input of one partition of which both sides do not make the same.
type differentJoin struct {
	join
	theirs, ours []string
}

func differentJoins() []*differentJoin { return nil }
