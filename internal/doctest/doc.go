// Package doctest runs the commands that the documentation shows.
//
// A fenced block of shell stands behind a mark, an HTML comment on the line before it:
//
//	<!-- tested -->                            runs it here
//	<!-- tested: until the first snapshot -->  runs it here, and ends it once there is a snapshot
//	<!-- tested elsewhere: WHERE -->           says what else runs it
//	<!-- run by TestX: NEEDS -->               names the test beside the code that runs it, and what it needs
//	<!-- not tested: WHY -->                   says why nothing does
//
// A block without a mark fails the test.
package doctest
