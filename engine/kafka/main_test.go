package kafka_test

import (
	"testing"

	"go.uber.org/goleak"
)

// No test leaves a goroutine behind, whatever it did to its members.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
