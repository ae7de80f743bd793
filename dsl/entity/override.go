package entity

import (
	"fmt"
	"slices"
	"strings"
)

// WithKey is a copy of the model with other key columns, in the order in which they are named. It
// is for a topic whose key is another one than the tags say, or whose type has no tags. The errors
// are a column that is not there, is named twice or cannot be a key.
func (m *Model) WithKey(columns ...string) (*Model, error) {
	if len(columns) == 0 {
		return nil, fmt.Errorf("entity: %s: a key of no columns", m.Type)
	}
	own := *m
	own.Columns, own.Key = slices.Clone(m.Columns), nil
	for i := range own.Columns {
		own.Columns[i].Key = false
	}
	for _, name := range columns {
		i, err := m.index(name)
		switch {
		case err != nil:
			return nil, err
		case own.Columns[i].Key:
			return nil, fmt.Errorf("entity: %s: column %q is named twice", m.Type, name)
		case !keyable(own.Columns[i].Type):
			return nil,
				fmt.Errorf(
					"entity: %s: column %q cannot be a key: it is %s; string, []byte, int, int32, int64 and float64 can", m.Type, name, article(own.Columns[i].Type))
		}
		own.Columns[i].Key = true
		own.Key = append(own.Key, i)
	}
	own.compile()
	return &own, nil
}

// WithTimestamp is a copy of the model with another event time: that of a column. The errors are a
// column that is not there, and one that is no time.
func (m *Model) WithTimestamp(column string) (*Model, error) {
	i, err := m.index(column)
	if err != nil {
		return nil, err
	}
	if t := m.Columns[i].Type; !timed(t) {
		return nil,
			fmt.Errorf(
				"entity: %s: column %q cannot be the timestamp: it is %s; time.Time, int64 and pointers to them can",
				m.Type, column, article(t))
	}
	own := *m
	own.Timestamp = i
	own.compile()
	return &own, nil
}

// index is where a column is.
func (m *Model) index(column string) (int, error) {
	names := make([]string, len(m.Columns))
	for i := range m.Columns {
		if names[i] = m.Columns[i].Name; names[i] == column {
			return i, nil
		}
	}
	if near := nearest(column, names); near != "" {
		return 0, fmt.Errorf("entity: %s has no column %q; did you mean %q?", m.Type, column, near)
	}
	return 0, fmt.Errorf("entity: %s has no column %q; there are %s", m.Type, column, strings.Join(names, ", "))
}
