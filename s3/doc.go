// Package s3 stores snapshots in a bucket: put, list, get, remove, and returns errors by class.
//
// Invariant: every key that List returns, or that another method touches, is the folder, a slash and a valid snapshot name.
// Nothing else in the bucket is read, changed or removed. PutArchive reports success only after the server has reported size and
// checksum of what it stored, and both match the archive.
//
// Permissions: s3:PutObject, s3:GetObject and s3:DeleteObject on the folder's keys and s3:ListBucket on its prefix are enough; no
// call lists buckets, checks one with HEAD, or asks for its location. Without these optional permissions nothing fails:
// s3:AbortMultipartUpload and s3:ListBucketMultipartUploads remove uploads that a crash left (so does a lifecycle rule
// AbortIncompleteMultipartUpload); s3:GetObjectRetention lets Remove detect a lock from the bucket's default. LockFor also
// requires s3:PutObjectRetention.
//
// Versioned buckets: Remove writes a delete marker, as a plain delete does. The snapshot then disappears from List. The bucket's
// lifecycle rule (NoncurrentVersionExpiration) decides when its bytes are deleted, because the permission to delete versions
// would let a stolen key destroy every backup. Remove does not hide a snapshot under Object Lock behind a marker: it refuses with
// ErrLocked.
package s3
