// Package rows is the format of what ashi keeps and hands on by itself: rows in internal topics,
// and in the state of tables, joins and Suppress. It is no [codecs.Codec] for topics of others:
// docs/codecs.md, "Internal rows".
//
// A row comes out as it went in. Its [Format] is either
//
//	columns   every exported field of the type, by name, nested ones too, one behind the other and without names: see form.go
//	a codec   the bytes of a codec of the program's own
//
// Protobuf messages are written by Protobuf wherever they stand, so that oneof and fields that
// nobody knows are kept. A type of which columns would lose something is a mistake that [Of] tells.
//
// The columns that a row was written with are its form, a short text:
//
//	{pair s;at t;bid f8;legs []{px d;size i8}}
//
// Whoever reads rows of another form finds columns by their names: those that are new are zero or
// have the default of their tag, those that are gone are passed over, and a column of another type
// is an error that names it, unless no value can be lost. In an internal topic each row has its
// form before it, as the reader may never have heard of the program that wrote it. In state a
// number stands for the form, which the commit record knows (engine/internal/task).
//
// A Format never changes once made and may be used by any number of goroutines; what Open functions
// return is for one.
package rows
