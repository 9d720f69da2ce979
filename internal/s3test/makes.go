package s3test

import (
	"net/http"
	"strings"
)

// The faults here let a server answer like one of another make, as its users have reported it.

// Backblaze refuses S3's own checksums as B2 does, on any request.
func Backblaze() Fault {
	return refuseHeaders(http.StatusBadRequest, "InvalidArgument", "Unsupported header '%s' received for this API call.", "X-Amz-Checksum-", "X-Amz-Sdk-Checksum-")
}

// Cloudflare refuses some headers of S3's own checksums as R2 does.
func Cloudflare() Fault {
	return refuseHeaders(http.StatusNotImplemented, "NotImplemented", "Header '%s' with this value not implemented",
		"X-Amz-Checksum-Type", "X-Amz-Checksum-Algorithm", "X-Amz-Checksum-Crc32c")
}

// OldServer refuses the headers without a word about which, as older servers do.
func OldServer(headers ...string) Fault {
	return refuseHeaders(http.StatusNotImplemented, "NotImplemented", "A header you provided implies functionality that is not implemented.", headers...)
}

// WithoutChecksums is a server that ignores S3's own checksums: it stores none, and returns none.
func WithoutChecksums() Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(&answer{ResponseWriter: w, head: func(h http.Header) {
			for name := range h {
				if strings.HasPrefix(name, "X-Amz-Checksum-") {
					h.Del(name)
				}
			}
		}}, r)
	}
}

// OtherETags is a server whose ETags are not computed from the contents.
func OtherETags() Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(&answer{ResponseWriter: w, head: func(h http.Header) {
			if h.Get("Etag") != "" && r.Method == http.MethodHead {
				h.Set("Etag", `"0x8DD1234ABCDEF"`)
			}
		}}, r)
	}
}

// All applies every fault to each request, the first one outermost.
func All(faults ...Fault) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		for i := len(faults) - 1; i >= 0; i-- {
			inner, fault := next, faults[i]
			next = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fault(w, r, inner) })
		}
		next.ServeHTTP(w, r)
	}
}

// refuseHeaders refuses requests with a header that begins with one of the names. In the message, %s is the header.
func refuseHeaders(status int, code, message string, names ...string) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		for header := range r.Header {
			for _, name := range names {
				if strings.HasPrefix(header, name) {
					refuseWith(w, r, status, code, strings.ReplaceAll(message, "%s", strings.ToLower(header)))
					return
				}
			}
		}
		next.ServeHTTP(w, r)
	}
}
