package member

import (
	"bytes"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"pgregory.net/rapid"
)

// compare decodes data with the codec and with gRPC's general one. What the general one accepts, the codec must decode to the
// same content. It may accept more, because it does not check the fields that it skips.
func compare(t testing.TB, c *snapshotCodec, data mem.BufferSlice) {
	t.Helper()
	var want, got pb.SnapshotResponse
	wantErr := encoding.GetCodecV2(proto.Name).Unmarshal(data, &want)
	got.Blob, got.RemainingBytes = []byte("of the message before"), 7
	gotErr := c.Unmarshal(data, &got)
	if wantErr != nil {
		return
	}
	if gotErr != nil {
		t.Fatalf("decode %x: %v", data.Materialize(), gotErr)
	}
	if !bytes.Equal(got.Blob, want.Blob) || got.RemainingBytes != want.RemainingBytes {
		t.Fatalf("decode %x: blob %x and %d bytes remain, want %x and %d",
			data.Materialize(), got.Blob, got.RemainingBytes, want.Blob, want.RemainingBytes)
	}
}

// message draws the fields of a SnapshotResponse in any order and number, of any type, and others between.
func message(t *rapid.T) []byte {
	var b []byte
	for range rapid.IntRange(0, 6).Draw(t, "fields") {
		number := rapid.SampledFrom([]protowire.Number{1, 2, 3, 3, 3, 4, 5, 19000, protowire.MaxValidNumber}).Draw(t, "number")
		b = field(t, b, number)
	}
	return b
}

func field(t *rapid.T, b []byte, number protowire.Number) []byte {
	kind := rapid.SampledFrom([]protowire.Type{
		protowire.BytesType, protowire.BytesType, protowire.VarintType, protowire.Fixed32Type, protowire.Fixed64Type, protowire.StartGroupType,
	}).Draw(t, "type")
	b = protowire.AppendTag(b, number, kind)
	switch kind {
	case protowire.VarintType:
		return protowire.AppendVarint(b, rapid.Uint64().Draw(t, "varint"))
	case protowire.Fixed32Type:
		return protowire.AppendFixed32(b, rapid.Uint32().Draw(t, "fixed32"))
	case protowire.Fixed64Type:
		return protowire.AppendFixed64(b, rapid.Uint64().Draw(t, "fixed64"))
	case protowire.StartGroupType:
		b = protowire.AppendTag(b, 9, protowire.VarintType)
		b = protowire.AppendVarint(b, rapid.Uint64().Draw(t, "in group"))
		return protowire.AppendTag(b, number, protowire.EndGroupType)
	default:
		return protowire.AppendBytes(b, rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "bytes"))
	}
}

// pieces cuts data as the network may.
func pieces(t *rapid.T, data []byte) mem.BufferSlice {
	var s mem.BufferSlice
	for rest := data; ; {
		n := rapid.IntRange(0, len(rest)).Draw(t, "piece")
		s = append(s, mem.SliceBuffer(rest[:n]))
		if rest = rest[n:]; len(rest) == 0 {
			return s
		}
	}
}

func TestCodecAgreesWithTheGeneralOne(t *testing.T) {
	c := newSnapshotCodec() // the same for all: nothing of one message may show in the next
	rapid.Check(t, func(r *rapid.T) {
		compare(t, c, pieces(r, message(r)))
	})
}

// A message that is cut off is an error or a shorter message, as with the general codec, and never a panic.
func TestCodecTakesCutMessages(t *testing.T) {
	c := newSnapshotCodec()
	rapid.Check(t, func(r *rapid.T) {
		b := message(r)
		for i := range b {
			compare(t, c, mem.BufferSlice{mem.SliceBuffer(b[:i])})
		}
	})
}

// What a server sends is decoded completely, at the sizes at which the buffer grows or is reused.
func TestCodecDecodesWhatServersSend(t *testing.T) {
	c := newSnapshotCodec()
	for _, size := range []int{0, 1, 32 << 10, 32<<10 - 1, 32<<10 + 1, 4096, 0} {
		sent := &pb.SnapshotResponse{
			Header: &pb.ResponseHeader{ClusterId: 1, MemberId: 2, Revision: 3}, RemainingBytes: 1 << 40,
			Blob: bytes.Repeat([]byte{byte(size), 0xff}, size)[:size], Version: "3.7.0",
		}
		data, err := encoding.GetCodecV2(proto.Name).Marshal(sent)
		if err != nil {
			t.Fatal(err)
		}
		compare(t, c, data)
		data.Free()
	}
}

func TestCodecRefusesOtherMessages(t *testing.T) {
	if err := newSnapshotCodec().Unmarshal(nil, &pb.StatusResponse{}); err == nil {
		t.Error("a StatusResponse was taken")
	}
}

func FuzzCodec(f *testing.F) {
	f.Add([]byte{}, 0)
	f.Add([]byte{0x10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}, 3)  // remaining_bytes: the largest number
	f.Add([]byte{0x1a, 3, 'a', 'b', 'c', 0x1a, 1, 'd', 0x22, 2, '3', '.'}, 2)           // two blobs, a version
	f.Add([]byte{0x1a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 'a'}, 1)   // a blob longer than any memory
	f.Add([]byte{0x2b, 0x2b, 0x2b, 0x10, 1, 0x2c}, 1)                                   // groups that do not end
	f.Add([]byte{0x00, 0x01}, 1)                                                        // no field has the number 0
	f.Add([]byte{0x10, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02}, 11) // more than 64 bits
	f.Fuzz(func(t *testing.T, data []byte, cut int) {
		if cut < 0 || cut > len(data) {
			cut = len(data)
		}
		compare(t, newSnapshotCodec(), mem.BufferSlice{mem.SliceBuffer(data[:cut]), mem.SliceBuffer(data[cut:])})
	})
}
