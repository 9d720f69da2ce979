package snapshot

// EncodeTail lets tests write archives that no Writer writes.
var EncodeTail = encodeTail
