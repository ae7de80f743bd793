package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/ashi-stream/ashi/topology"
)

// What comes from a registry, or from whatever answers in its place, is bounded before it is in
// memory.
const (
	maxAnswer    = 8 << 20  // bytes of an answer, after decompression; and of a schema with all that it refers to
	maxHeader    = 64 << 10 // bytes of the headers of an answer
	maxRedirects = 3
	maxText      = 1 << 10 // bytes of an error that a registry gives
)

// These are answers, which asking again does not change: errors of the records that need them, and
// no reason to wait.
var (
	errTooLarge   = fmt.Errorf("the answer is larger than %d MiB", maxAnswer>>20)
	errRedirected = errors.New("the registry redirects")
	errUnreadable = errors.New("the answer cannot be read")
)

// newClient asks the registry of cfg, and nobody else: a redirect to another scheme, host or port
// is not followed, so that nothing, and no secret above all, is sent there.
func newClient(cfg *Config) (*sr.Client, error) {
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 2,
		IdleConnTimeout: time.Minute}
	transport.MaxResponseHeaderBytes = maxHeader // Timeout is that of the whole request
	if cfg.TLS != nil {
		transport.TLSClientConfig = cfg.TLS.Clone()
	}
	client := &http.Client{Transport: boundedTransport{transport}, Timeout: cfg.Timeout, CheckRedirect: sameOrigin}
	return sr.NewClient(sr.URLs(cfg.URLs...), sr.UserAgent("ashi"), sr.HTTPClient(client), sr.LogLevel(sr.LogLevelNone),
		sr.PreReq(cfg.authorize))
}

func sameOrigin(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fmt.Errorf("%w more than %d times", errRedirected, maxRedirects)
	}
	if from, to := origin(via[0].URL), origin(req.URL); from != to {
		return fmt.Errorf("%w from %s to %s, which is not followed: give the URL that it is", errRedirected, from, to)
	}
	return nil
}

func origin(u *url.URL) string {
	port := u.Port()
	switch {
	case port != "":
	case u.Scheme == "https":
		port = "443"
	default:
		port = "80"
	}
	return strings.ToLower(u.Scheme) + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// boundedTransport ends answers that are too large. It stands before the transport, which
// decompresses them.
type boundedTransport struct{ next http.RoundTripper }

func (t boundedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	answer, err := t.next.RoundTrip(req)
	if err == nil {
		answer.Body = &boundedBody{answer.Body, maxAnswer}
	}
	return answer, err
}

type boundedBody struct {
	io.ReadCloser
	left int
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if len(p) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if n > b.left {
		return b.left, errTooLarge
	}
	b.left -= n
	return n, err
}

// call asks and reads the answer, again and again while there is none, for as long as
// Config.Patience says.
func (r *Registry) call(ctx context.Context, method, path string, in, out any) error {
	return r.patient(ctx, func(ctx context.Context) error {
		var body []byte
		if err := r.client.Do(ctx, method, path, in, &body); err != nil {
			return shortened(err)
		}
		if err := json.Unmarshal(body, out); err != nil {
			return fmt.Errorf("%w: %s", errUnreadable, cut(err.Error()))
		}
		return nil
	})
}

// patient asks again where the registry does not answer. Other errors are the registry's answer.
func (r *Registry) patient(ctx context.Context, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Patience)
	defer cancel()
	var err error
	for wait := firstWait; ; wait = min(2*wait, maxWait) {
		last := ask(ctx)
		if last == nil || !unanswered(last) {
			return last
		}
		if err == nil || ctx.Err() == nil {
			err = last // the end of our patience says nothing of the cause
		}
		again := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			again.Stop()
			return fmt.Errorf("%w: %w", topology.ErrUnavailable, err)
		case <-again.C:
		}
	}
}

// unanswered says that an error is no answer to the question: the request did not get through, or
// the registry is in trouble.
func unanswered(err error) bool {
	var answer *sr.ResponseError
	if errors.As(err, &answer) {
		return answer.StatusCode >= 500 || answer.StatusCode == http.StatusTooManyRequests ||
			answer.StatusCode == http.StatusRequestTimeout
	}
	return !errors.Is(err, errTooLarge) && !errors.Is(err, errRedirected) && !errors.Is(err, errUnreadable)
}

func notFound(err error) bool {
	var answer *sr.ResponseError
	return errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound
}

// shortened cuts what a registry says in an error, which may be a page, and would be kept and
// logged.
func shortened(err error) error {
	var answer *sr.ResponseError
	if errors.As(err, &answer) {
		answer.Raw, answer.Message = []byte(cut(string(answer.Raw))), cut(answer.Message)
	}
	return err
}

// cut is the beginning of a text, and a copy of it.
func cut(text string) string {
	if len(text) <= maxText {
		return strings.ToValidUTF8(text, "?")
	}
	return strings.ToValidUTF8(strings.Clone(text[:maxText]), "?") + " ..."
}
