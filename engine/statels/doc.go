// Command statels lists what is in an engine's state directory: stores, rows, bytes, newest times,
// positions and commit records. It changes nothing and can be used while the engine runs: it then
// shows what is on disk, without what still waits in the engine's memory.
//
//	statels DIR                                        every store
//	statels -rows rates/window_15min -prefix EUR DIR   rows of one, as the listing names it, whose keys begin with EUR
//
// Keys are shown as quoted text, or in hex (0x...) when they are no text; values as they are when
// they are JSON, else in hex. -prefix takes both forms of a key. It ends with status 1 when a store
// cannot be read, after listing the others.
package main
