package s3

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// maxRefusal is how much of a refusal is read to see whose it is. S3's own have less than 2 KiB.
const maxRefusal = 64 << 10

// checkRefusal finds refusals that are not S3's: web pages, and errors of other servers. They say nothing about the bucket or about
// what these keys may do.
func checkRefusal(req *http.Request, res *http.Response) error {
	switch s := res.StatusCode; {
	case s == http.StatusNotModified || s == http.StatusPreconditionFailed || s == http.StatusRequestedRangeNotSatisfiable,
		s == http.StatusTooManyRequests, s == http.StatusProxyAuthRequired:
		return nil // their class does not depend on who sends them, and the text helps
	case s == http.StatusNotImplemented || s == http.StatusHTTPVersionNotSupported || s == http.StatusNetworkAuthenticationRequired:
	case s >= http.StatusInternalServerError:
		return nil // likewise: a load balancer in front of S3 may send a page
	}
	if req.Method == http.MethodHead {
		return checkBareRefusal(res, true)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxRefusal))
	if err != nil {
		return err
	}
	putBack(res, body)
	switch root := rootOf(body); {
	case len(bytes.TrimSpace(body)) == 0:
		return checkBareRefusal(res, false)
	case root == "Error" || root == "ErrorResponse":
		return nil
	case res.StatusCode == http.StatusBadRequest && bytes.Contains(body, []byte("HTTPS")):
		return fmt.Errorf("%w: a %s", ErrConfig, plainToTLS)
	case strings.EqualFold(root, "html") || !signed(res):
		return notS3("it is %s", described(res))
	}
	return nil
}

// plainToTLS is what nginx calls a request in plain http that a TLS server has refused. Others say it in other words.
const plainToTLS = "plain HTTP request was sent to HTTPS port"

// checkBareRefusal knows a refusal without a body by its headers. S3 sends such only for HEAD.
func checkBareRefusal(res *http.Response, head bool) error {
	kind, _, _ := strings.Cut(res.Header.Get("Content-Type"), ";")
	isXML := strings.HasSuffix(kind, "xml") && !strings.Contains(kind, "html")
	if signed(res) || isXML || head && kind == "" && res.Header.Get("WWW-Authenticate") == "" {
		return nil
	}
	return notS3("it is %s", described(res))
}

// rootOf returns the name of the first element of XML or HTML; "" if there is none.
func rootOf(body []byte) string {
	d := xml.NewDecoder(bytes.NewReader(body))
	d.Strict = false
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil } // only a name in ASCII is compared
	for {
		token, err := d.Token()
		if err != nil {
			return ""
		}
		if start, ok := token.(xml.StartElement); ok {
			return start.Name.Local
		}
	}
}

// signed reports a header that only S3 servers send, of Amazon, of those that follow it, or of Google.
func signed(res *http.Response) bool {
	for name := range res.Header {
		switch {
		case strings.HasPrefix(name, "X-Amz-Cf-") || strings.HasPrefix(name, "X-Amz-Apigw-"): // CloudFront and API Gateway
		case strings.HasPrefix(name, "X-Amz-") || strings.HasPrefix(name, "X-Goog-") || name == "X-Guploader-Uploadid":
			return true
		}
	}
	return false
}

func described(res *http.Response) string {
	text := res.Status
	if kind := res.Header.Get("Content-Type"); kind != "" {
		text += ", " + kind
	}
	if to, err := res.Location(); err == nil {
		text += ", to " + to.Host
	}
	return text
}
