package engine

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

//go:embed status.html
var statusHTML string

var statusPage = template.Must(template.New("status").Funcs(template.FuncMap{
	"time": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") },
	"figure": func(n int64) string {
		if n < 0 {
			return "–"
		}
		return strconv.FormatInt(n, 10)
	},
}).Parse(statusHTML))

// StatusHandler serves four documents, for GET and HEAD only:
//
//	/healthz      200, or 503 once Run has failed
//	/readyz       200 while all tables can be read, else 503 with the causes, a line each
//	/status       Status as JSON, or the page for a browser (Accept: text/html)
//	/status.html  the page, which refreshes itself each 2 s
//
// A program mounts it in a server of its own, below a prefix by http.StripPrefix; Config.StatusAddr
// is not needed for that.
func (e *Engine) StatusHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", e.healthz)
	mux.HandleFunc("GET /readyz", e.readyz)
	mux.HandleFunc("GET /status", e.serveDocument)
	mux.HandleFunc("GET /status.html", e.servePage)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
		mux.ServeHTTP(w, r)
	})
}

func (e *Engine) healthz(w http.ResponseWriter, _ *http.Request) {
	select {
	case <-e.done:
		e.mu.Lock()
		err := e.err
		e.mu.Unlock()
		if err != nil {
			http.Error(w, "failed: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
	default:
	}
	fmt.Fprintln(w, "ok")
}

func (e *Engine) readyz(w http.ResponseWriter, _ *http.Request) {
	if e.readiness.err() == nil {
		fmt.Fprintln(w, "ready")
		return
	}
	var lines []string
	for _, c := range e.Readiness().Causes {
		lines = append(lines, c.String())
	}
	http.Error(w, "not ready\n"+strings.Join(lines, "\n"), http.StatusServiceUnavailable)
}

func (e *Engine) serveDocument(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Vary", "Accept")
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		e.servePage(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	if err := enc.Encode(e.Status()); err != nil {
		e.cfg.Log.Debug("status not written", "error", err)
	}
}

func (e *Engine) servePage(w http.ResponseWriter, _ *http.Request) {
	var page bytes.Buffer
	if err := statusPage.Execute(&page, struct {
		Status
		Drawing drawing
	}{e.Status(), draw(e.plan.Graph())}); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if _, err := w.Write(page.Bytes()); err != nil {
		e.cfg.Log.Debug("status page not written", "error", err)
	}
}

// statusServer is where Config.StatusAddr is served.
type statusServer struct{ addr atomic.Pointer[string] }

// StatusAddr is the address at which the status is served, host:port; empty where it is not.
func (e *Engine) StatusAddr() string {
	if addr := e.status.addr.Load(); addr != nil {
		return *addr
	}
	return ""
}

// listenAddr is Config.StatusAddr with the host that a port alone stands for.
func listenAddr(addr string) (string, error) {
	if addr == "" {
		return "", nil
	}
	full := addr
	if !strings.Contains(addr, ":") {
		full = ":" + addr
	}
	host, port, err := net.SplitHostPort(full)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return "", fmt.Errorf("StatusAddr %q: want host:port or a port: %w", addr, err)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

// serveStatus serves until stop is called, which waits for answers under way, 1 s at most.
func (e *Engine) serveStatus() (stop func(), err error) {
	addr, err := listenAddr(e.cfg.StatusAddr)
	if err != nil || addr == "" {
		return func() {}, err
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("engine: status: %w", err)
	}
	bound := listener.Addr().String()
	e.status.addr.Store(&bound)
	e.cfg.Log.Info("status is served", "address", bound)
	server := &http.Server{Handler: e.StatusHandler(), ReadTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second,
		MaxHeaderBytes: 16 << 10}
	served := make(chan struct{})
	go func() {
		defer close(served)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			e.cfg.Log.Warn("status is not served any more", "error", err)
		}
	}()
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			server.Close() // whoever is still connected has had its second
		}
		<-served
		e.status.addr.Store(nil)
	}, nil
}
