package snapshot

// Unusable lets tests ask of errors that no file system here gives.
func Unusable(err error) error { return unusable(err) }

// EncodeTail lets tests write archives that no Writer writes.
var EncodeTail = encodeTail
