package snapshot_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"etcd-rolling-backup/snapshot"
)

func TestNames(t *testing.T) {
	at := time.Date(2026, 11, 21, 22, 0, 0, 999_999_999, time.FixedZone("CET", 3600))
	for _, c := range []struct {
		set, node, want string
	}{
		{"rolling", "node-a.example", "rolling_node-a.example_20261121T210000Z.db.zst"},
		{"manual", "a", "manual_a_20261121T210000Z.db.zst"},
		{"Before-Upgrade.1", "NODE-A", "Before-Upgrade.1_NODE-A_20261121T210000Z.db.zst"},
		{"0", "9", "0_9_20261121T210000Z.db.zst"},
	} {
		n, err := snapshot.NewName(c.set, c.node, at)
		must(t, err)
		if n.String() != c.want {
			t.Errorf("NewName(%q, %q) is %s, want %s", c.set, c.node, n, c.want)
		}
		back, err := snapshot.ParseName(c.want)
		if err != nil || back != n {
			t.Errorf("ParseName(%s) is %+v and %v, want %+v", c.want, back, err, n)
		}
	}
}

func TestNameRefusesParts(t *testing.T) {
	long := strings.Repeat("n", 255)
	for _, part := range []string{
		"", ".", "..", "a..b", "-a", ".a", "a_b", "_", "a/b", "/", `a\b`, "a b", "a\n", "a\x00", "ä", "a\xff", "*", "a:b", long,
	} {
		for _, n := range [][2]string{{part, "node"}, {"set", part}} {
			if _, err := snapshot.NewName(n[0], n[1], time.Now()); !errors.Is(err, snapshot.ErrName) {
				t.Errorf("NewName(%q): %v, want ErrName", n, err)
			}
		}
		text := "rolling_" + part + "_20261121T210000Z.db.zst"
		if _, err := snapshot.ParseName(text); !errors.Is(err, snapshot.ErrName) {
			t.Errorf("ParseName(%q): %v, want ErrName", text, err)
		}
	}
	if _, err := snapshot.NewName("rolling", "node", time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)); !errors.Is(err, snapshot.ErrName) {
		t.Errorf("the year 10000: %v, want ErrName", err)
	}
}

func TestParseNameRefuses(t *testing.T) {
	for _, text := range []string{
		"", ".lock", "snap.db", "rolling_a_20261121T210000Z", "rolling_a_20261121T210000Z.db", "rolling_a_20261121T210000Z.zst",
		"rolling_a_20261121T210000Z.db.zst.part", "rolling_a_20261121T210000Z.DB.ZST", " rolling_a_20261121T210000Z.db.zst",
		"rolling_a_20261121T210000.db.zst", "rolling_a_20261121T210000.5Z.db.zst", "rolling_a_20261121T210000,5Z.db.zst",
		"rolling_a_20261321T210000Z.db.zst", "rolling_a_20260229T210000Z.db.zst", "rolling_a_20261121T240000Z.db.zst",
		"rolling_a_20261121T235960Z.db.zst", "rolling_a_00000101T000000Z.db.zst", "rolling_a_2026-11-21T21:00:00Z.db.zst",
		"rolling_a_b_20261121T210000Z.db.zst", "rolling_20261121T210000Z.db.zst", "x/rolling_a_20261121T210000Z.db.zst",
	} {
		if n, err := snapshot.ParseName(text); !errors.Is(err, snapshot.ErrName) {
			t.Errorf("ParseName(%q) is %+v and %v, want ErrName", text, n, err)
		}
	}
}

// parts are valid in a name, and short enough for both.
func parts() *rapid.Generator[string] {
	return rapid.StringMatching(`[a-zA-Z0-9]([.-]?[a-zA-Z0-9-]){0,40}`)
}

func names() *rapid.Generator[snapshot.Name] {
	last := time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).Unix()
	first := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	return rapid.Custom(func(t *rapid.T) snapshot.Name {
		return snapshot.Name{
			Set: parts().Draw(t, "set"), Node: parts().Draw(t, "node"),
			Time: time.Unix(rapid.Int64Range(first, last).Draw(t, "time"), 0).UTC(),
		}
	})
}

func TestNamesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := names().Draw(t, "name")
		made, err := snapshot.NewName(n.Set, n.Node, n.Time.Add(rapid.Custom(func(t *rapid.T) time.Duration {
			return time.Duration(rapid.Int64Range(0, int64(time.Second)-1).Draw(t, "ns"))
		}).Draw(t, "fraction")))
		if err != nil || made != n {
			t.Fatalf("NewName is %+v and %v, want %+v", made, err, n)
		}
		if back, err := snapshot.ParseName(n.String()); err != nil || back != n {
			t.Fatalf("ParseName(%s) is %+v and %v, want %+v", n, back, err, n)
		}
	})
}

func TestNameInJSON(t *testing.T) {
	type carrier struct {
		Name  snapshot.Name
		Times map[snapshot.Name]int
	}
	n := nameA()
	text, err := json.Marshal(carrier{Name: n, Times: map[snapshot.Name]int{n: 1}})
	must(t, err)
	if want := `{"Name":"` + n.String() + `","Times":{"` + n.String() + `":1}}`; string(text) != want {
		t.Errorf("a name in JSON is %s, want %s", text, want)
	}
	var back carrier
	must(t, json.Unmarshal(text, &back))
	if back.Name != n || back.Times[n] != 1 {
		t.Errorf("%s is read as %+v", text, back)
	}

	text, err = json.Marshal(carrier{})
	must(t, err)
	if want := `{"Name":"","Times":null}`; string(text) != want {
		t.Errorf("the zero name in JSON is %s, want %s", text, want)
	}
	must(t, json.Unmarshal(text, &back))
	if back.Name != (snapshot.Name{}) {
		t.Errorf("the empty text is read as %+v", back.Name)
	}
}

func TestNameInJSONRefusesInvalidNames(t *testing.T) {
	n := nameA()
	for _, text := range []string{`"snap.db"`, `"` + n.String() + `.part"`, `"_node_"`, `" "`} {
		kept := n
		if err := json.Unmarshal([]byte(text), &kept); !errors.Is(err, snapshot.ErrName) || kept != n {
			t.Errorf("%s is read as %+v and %v, want ErrName and no change", text, kept, err)
		}
	}
	for _, bad := range []snapshot.Name{{Set: "a/b", Node: "a"}, {Node: "a"}, {Set: "a", Node: "b_c", Time: n.Time}} {
		if text, err := json.Marshal(bad); !errors.Is(err, snapshot.ErrName) {
			t.Errorf("%+v is written %s: %v, want ErrName", bad, text, err)
		}
	}
}

// The prefix of a set and node matches no other set's and no other node's names: node "a" never matches node "a-b".
func TestNamesOfOtherNodes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, other := names().Draw(t, "name"), names().Draw(t, "other")
		if rapid.Bool().Draw(t, "longer") {
			other.Set, other.Node = n.Set, n.Node+"-"+other.Node
		}
		same := n.Set == other.Set && n.Node == other.Node
		if got := strings.HasPrefix(other.String(), n.Set+"_"+n.Node+"_"); got != same {
			t.Fatalf("the prefix of %s in %s: %t, want %t", n, other, got, same)
		}
		if got := other.Rolling(n.Node); got != (other.Set == snapshot.RollingSet && other.Node == n.Node) {
			t.Fatalf("%s is rolling for node %s: %t", other, n.Node, got)
		}
	})
}

func FuzzParseName(f *testing.F) {
	for _, s := range []string{
		"rolling_node-a.example_20261121T220000Z.db.zst", "a_b_00010101T000000Z.db.zst", "rolling_a_20261121T220000.0Z.db.zst",
		"rolling_../a_20261121T220000Z.db.zst", "__.db.zst", strings.Repeat("a", 200) + "_" + strings.Repeat("b", 25) + "_20261121T220000Z.db.zst",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := snapshot.ParseName(s)
		if err != nil {
			if !errors.Is(err, snapshot.ErrName) {
				t.Fatalf("%v is no ErrName", err)
			}
			return
		}
		if n.String() != s {
			t.Fatalf("%q parses and is written %q", s, n)
		}
		for _, bad := range []string{"/", "..", "\x00"} {
			if strings.Contains(s, bad) {
				t.Fatalf("%q contains %q", s, bad)
			}
		}
		if strings.Contains(n.Set+n.Node, "_") || len(s+".part") > 255 {
			t.Fatalf("%q is too long or splits in more ways than one", s)
		}
	})
}
