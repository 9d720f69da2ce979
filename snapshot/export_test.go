package snapshot

// Unusable lets tests classify errors that no file system here returns.
func Unusable(err error) error { return unusable(err) }

// EncodeTail lets tests write archives that no Writer writes.
var EncodeTail = encodeTail

// SpaceOf lets tests give answers of statfs that no file system here gives.
var SpaceOf = spaceOf

// RenameNew lets tests take a name after it was seen to be free.
var RenameNew = renameNew
