package s3test

import (
	"bytes"
	"net/http"
)

// Truncate announces the full length of the response body, sends its first n bytes and closes the connection.
func Truncate(n int64) Fault {
	return cut(n, func(*http.Request) { panic(http.ErrAbortHandler) })
}

// Stall announces the full length of the response body, sends its first n bytes, and then nothing until the client disconnects.
func Stall(n int64) Fault {
	return cut(n, func(r *http.Request) {
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	})
}

// Flip inverts the lowest bit of the byte at the offset in the response body.
func Flip(offset int64) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		at := offset
		next.ServeHTTP(&answer{ResponseWriter: w, body: func(p []byte) (int, error) {
			if at >= 0 && at < int64(len(p)) {
				p = bytes.Clone(p) // the buffer belongs to the caller
				p[at] ^= 1
			}
			at -= int64(len(p))
			return w.Write(p)
		}}, r)
	}
}

// cut sends the first n bytes of a longer body, and then calls end, which does not return.
func cut(n int64, end func(*http.Request)) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		left := n
		next.ServeHTTP(&answer{ResponseWriter: w, body: func(p []byte) (int, error) {
			if int64(len(p)) <= left {
				left -= int64(len(p))
				return w.Write(p)
			}
			if n, err := w.Write(p[:left]); err != nil {
				return n, err
			}
			_ = http.NewResponseController(w).Flush() // an error means that the client has disconnected
			end(r)
			return 0, http.ErrAbortHandler
		}}, r)
	}
}

// answer changes the server's response. Either function may be nil.
type answer struct {
	http.ResponseWriter
	head func(http.Header)           // called before the status is written
	body func(p []byte) (int, error) // called in place of Write
}

// WriteHeader changes the header. The reverse proxy calls it before any Write.
func (a *answer) WriteHeader(status int) {
	if a.head != nil {
		a.head(a.Header())
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write changes the body.
func (a *answer) Write(p []byte) (int, error) {
	if a.body == nil {
		return a.ResponseWriter.Write(p)
	}
	return a.body(p)
}

// Unwrap lets the reverse proxy flush: [http.ResponseController].
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
