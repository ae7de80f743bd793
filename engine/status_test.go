package engine_test

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
)

func fetch(t *testing.T, e *running, path, accept string) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+e.StatusAddr()+path, nil)
	require.NoError(t, err)
	req.Header.Set("Accept", accept)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	resp, err := client.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(body), resp.Header
}

func httpStatus(t *testing.T, e *running, path string) int {
	t.Helper()
	code, _, _ := fetch(t, e, path, "")
	return code
}

func TestStatus(t *testing.T) {
	const partitions = 2
	c := kafkatest.Start(t)
	topic, app := c.Topic(t, "rates", partitions), c.Name("fx")
	p := newPipeline(t, app, topic)
	e := start(t, p.plan, engine.Config{Brokers: c.Brokers, StateDir: t.TempDir(), StatusAddr: "0",
		CommitInterval: 50 * time.Millisecond})
	await(t, e.Engine, patience, isReady)
	rates := randomRates(rand.New(rand.NewPCG(1, 2)), dayStart, 1000, time.Second)
	rates = append(rates, endRates(rates, partitions)...)
	write(t, c.Config(), p, rates)
	awaitRows(t, e.Engine, p, rates, partitions)
	host, _, err := net.SplitHostPort(e.StatusAddr())
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1", host)

	var s engine.Status
	code, body, header := fetch(t, e, "/status", "*/*")
	require.Equal(t, 200, code)
	require.Equal(t, "application/json", header.Get("Content-Type"))
	require.NoError(t, json.Unmarshal([]byte(body), &s))
	require.Equal(t, app, s.Application)
	require.True(t, s.Readiness.Ready)
	require.Equal(t, int64(len(rates)), s.SubTopologies[0].Records)
	require.Eventually(t, func() bool { return e.Status().SubTopologies[0].Rate > 0 }, patience, 50*time.Millisecond)
	require.Len(t, s.SubTopologies[0].Tasks, partitions)
	next := int64(0)
	for i, task := range s.SubTopologies[0].Tasks {
		require.Equal(t, int32(i), task.Partition)
		require.True(t, task.Open)
		require.Equal(t, topic, task.Inputs[0].Topic)
		require.NotEmpty(t, task.StreamTimes)
		next += task.Inputs[0].Next
	}
	require.GreaterOrEqual(t, next, int64(len(rates)), "positions of the last commits")
	require.Len(t, s.Tables, 2)
	for _, table := range s.Tables {
		require.True(t, table.Ready)
		require.Len(t, table.Partitions, partitions)
		require.Positive(t, table.Rows)
		require.Positive(t, table.Bytes)
	}
	require.Equal(t, []string{"1min", "5min"}, []string{s.Tables[0].Window, s.Tables[1].Window})
	require.Equal(t, p.plan.Describe(), s.Topology)
	require.Equal(t, p.plan.Mermaid(), s.TopologyMermaid)

	code, body, header = fetch(t, e, "/status", "text/html,application/xhtml+xml")
	require.Equal(t, 200, code)
	require.Equal(t, "text/html; charset=utf-8", header.Get("Content-Type"))
	page := readPage(t, body)
	require.Equal(t, "ready", page["state"])
	require.Equal(t, "", page["causes"])
	require.Contains(t, page["tasks"], topic)
	require.Contains(t, page["tables"], "caught up")
	require.Equal(t, strings.Join(strings.Fields(s.Topology), " "), page["topology"])
	require.Contains(t, page["drawing"], "aggregate "+p.plan.Subs[0].Name)
	require.Equal(t, 405, postStatus(t, e))
	require.NoError(t, e.stop())
	require.Empty(t, e.StatusAddr())
}

func postStatus(t *testing.T, e *running) int {
	t.Helper()
	w := httptest.NewRecorder()
	e.StatusHandler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/status", nil))
	return w.Code
}

// The page of an engine that has not run, by its handler: what is wrong stands in it, and nothing
// is markup that was a value.
func TestStatusPage(t *testing.T) {
	p := newPipeline(t, "fx", "rates")
	e, err := engine.New(p.plan, engine.Config{Brokers: []string{"127.0.0.1:1"},
		WithoutTables: `<script>alert("x")</script>`})
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	w := httptest.NewRecorder()
	e.StatusHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/status.html", nil))
	require.Equal(t, 200, w.Code)
	require.NotContains(t, w.Body.String(), "<script")
	require.NotContains(t, w.Body.String(), "http://")
	require.NotContains(t, w.Body.String(), "https://")
	require.Contains(t, w.Body.String(), "Switched off: &lt;script&gt;")
	page := readPage(t, w.Body.String())
	require.Equal(t, "not ready", page["state"])
	require.Contains(t, page["causes"], "starting")
	require.Contains(t, page["tasks"], "no task here")
	require.Contains(t, page["standbys"], "no standby here")

	w = httptest.NewRecorder()
	e.StatusHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
	require.Equal(t, 503, w.Code)
	require.Equal(t, "not ready\nstarting\n", w.Body.String())
}

// readPage is the text of each element that has an id, with single spaces. Every element of the
// page must be closed.
func readPage(t *testing.T, page string) map[string]string {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(page))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	texts := map[string]string{}
	var open []string // ids, of elements without one empty
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		switch token := token.(type) {
		case xml.StartElement:
			id := ""
			for _, a := range token.Attr {
				if a.Name.Local == "id" {
					id = a.Value
				}
			}
			open = append(open, id)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			for _, id := range open {
				texts[id] = strings.Join(strings.Fields(texts[id]+" "+string(token)), " ")
			}
		}
	}
	require.Empty(t, open)
	return texts
}
