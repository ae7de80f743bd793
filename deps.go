package ashi
import (
_ "github.com/IBM/sarama"
_ "github.com/cockroachdb/apd/v3"
_ "github.com/golang/protobuf/proto"
_ "github.com/linxGnu/grocksdb"
_ "github.com/lovoo/goka"
_ "github.com/prometheus/client_golang/prometheus"
_ "github.com/stretchr/testify/require"
_ "github.com/twmb/franz-go/pkg/kadm"
_ "github.com/twmb/franz-go/pkg/kfake"
_ "github.com/twmb/franz-go/pkg/kgo"
_ "github.com/twmb/franz-go/pkg/kmsg"
_ "google.golang.org/protobuf/proto"
_ "go.uber.org/goleak"
_ "github.com/pierrec/lz4/v4"
)
