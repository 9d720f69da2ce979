package journal

import (
	"context"
	"fmt"
	"io"
)

// Section is one segment in a file of several.
type Section struct {
	Size     int64 `json:"size"` // bytes
	Complete bool  `json:"complete,omitempty"`
}

// Bundle copies segments one behind the other, for a process that gets one file.
func Bundle(w io.Writer, chain []*Segment) (all []Section, err error) {
	for _, s := range chain {
		if _, err := io.Copy(w, io.NewSectionReader(s.r, 0, s.size)); err != nil {
			return nil, fmt.Errorf("copy %s: %w", s.label(), err)
		}
		all = append(all, Section{s.size, s.Complete})
	}
	return all, nil
}

// OpenBundle opens the segments that Bundle has copied. Errors are those of Open and OpenPart.
func OpenBundle(ctx context.Context, r io.ReaderAt, all []Section) (chain []*Segment, err error) {
	at := int64(0)
	for _, s := range all {
		part := io.NewSectionReader(r, at, s.Size)
		var opened *Segment
		if s.Complete {
			opened, err = Open(part, s.Size)
		} else {
			opened, err = OpenPart(ctx, part, s.Size)
		}
		if err != nil {
			return nil, fmt.Errorf("segment %d of %d: %w", len(chain)+1, len(all), err)
		}
		chain, at = append(chain, opened), at+s.Size
	}
	return chain, nil
}
