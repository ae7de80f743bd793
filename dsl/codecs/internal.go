package codecs

import "github.com/ashi-stream/ashi/dsl/entity"

// Internal is the format of what the engine keeps and hands on by itself: rows in the state of joins and tables, and in internal
// topics. It holds all columns, those of the key too: as Fixed has them where every column of T has a fixed form, else as JSON.
// Limits of a relaxed type are let be: its rows are made to fit where they are put out.
func Internal[T any]() Codec[T] {
	m, errs := entity.For[T]()
	if len(errs) > 0 {
		return JSON[T]()
	}
	if m.Relaxed {
		m = unlimited(m)
	}
	program, errs := compileFixed(m, true)
	if len(errs) > 0 {
		return jsonOf[T](m, nil)
	}
	return &FixedCodec[T]{program: program}
}
