// Package s3 keeps snapshots in a bucket: put, list, get, remove, with errors told apart where they arise.
//
// Invariant: a key that List gives, or that any other method touches, is the folder, a slash and a valid snapshot
// name; whatever else lies in the bucket is neither read, changed nor removed. PutArchive reports success only after the
// server has told the size and the checksum of what it stored, and both are those of the archive.
//
// Permissions: s3:PutObject, s3:GetObject and s3:DeleteObject on the folder's keys and s3:ListBucket on its prefix
// suffice; no bucket is ever listed, headed or asked for its location. Two more are optional, and their absence is no
// error: s3:AbortMultipartUpload and s3:ListBucketMultipartUploads clear away uploads that a crash has left behind
// (a lifecycle rule AbortIncompleteMultipartUpload does it too), s3:GetObjectRetention lets Remove see a lock that
// the bucket's default has set. With LockFor, s3:PutObjectRetention is needed besides.
//
// Versioned buckets: Remove writes a delete marker, as a plain delete does. The snapshot is then gone from List; when its
// bytes go is for the bucket's lifecycle rule (NoncurrentVersionExpiration) to say, for deleting versions needs a
// permission that would also let a stolen key destroy every backup. A snapshot that Object Lock still holds
// is not hidden behind a marker: Remove refuses with ErrLocked.
package s3
