package dsl

// openJoin makes a joiner with a result of its own.
func openJoin[L, R, O any](joiner func(*L, *R) (O, error)) func() func(left, right any) (any, error) {
	return func() func(left, right any) (any, error) {
		joined := new(O)
		return func(left, right any) (_ any, err error) {
			l, _ := left.(*L)
			r, _ := right.(*R)
			*joined, err = joiner(l, r)
			return joined, err
		}
	}
}
