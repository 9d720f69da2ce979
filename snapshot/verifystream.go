package snapshot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
)

// VerifyStream reads an archive of size bytes, whose last bytes are tail as [DecodeTail] takes them, and compares the compressed data with
// the manifest's checksum. It decompresses and stores nothing. Damage wraps ErrDamaged.
func VerifyStream(ctx context.Context, r io.Reader, tail []byte, size int64) error {
	m, dataSize, err := DecodeTail(tail, size)
	if err != nil {
		return err
	}
	sum := sha256.New()
	n, err := copyWithin(ctx, sum, io.LimitReader(r, dataSize), copyPiece, dataSize, nil)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return fmt.Errorf("read archive: %w", err)
	case n < dataSize:
		return fmt.Errorf("%w: it has only %d bytes of %d", ErrDamaged, n, size)
	}
	if err := (checksum{Hash: sum, name: "SHA-256", want: m.ArchiveSHA256}).compare(); err != nil {
		return err
	}
	rest, err := io.ReadAll(io.LimitReader(r, size-dataSize+1))
	if err != nil {
		return fmt.Errorf("read archive: %w", err)
	}
	if !bytes.HasSuffix(tail, rest) || int64(len(rest)) != size-dataSize {
		return fmt.Errorf("%w: its end is not the one that was read before", ErrDamaged)
	}
	return nil
}
