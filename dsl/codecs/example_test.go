package codecs_test

import (
	"fmt"

	"github.com/ashi-stream/ashi/dsl/codecs"
)

// Strict, which is the default, refuses what does not fit; relaxed cuts it, and counts.
func ExampleAdjuster() {
	type strict struct {
		Note string `ashi:"note,maxlen=5"`
	}
	type relaxed struct {
		_    struct{} `ashi:"relaxed"`
		Note string   `ashi:"note,maxlen=5"`
	}
	_, err := codecs.JSON[strict]().Encode(nil, &strict{"too long"})
	fmt.Println(err)

	codec := codecs.JSON[relaxed]()
	value, err := codec.Encode(nil, &relaxed{Note: "too long"})
	fmt.Println(string(value), err, codec.Adjusted())
	// Output:
	// codecs: json *codecs_test.strict: column "note" has 8 characters, at most 5 are allowed
	// {"note":"too l"} <nil> map[note:1]
}
