// Package doctest runs the commands that the documentation shows.
//
// A fenced block of shell stands behind a mark, an HTML comment on the line before it:
//
//	<!-- tested -->                            runs it here
//	<!-- tested: until the first snapshot -->  runs it here, and ends it once there is a snapshot
//	<!-- tested elsewhere: WHERE -->           says what else runs it
//	<!-- not tested: WHY -->                   says why nothing does
//
// A block without a mark fails the test.
package doctest
