// Package doctest runs the commands that the documentation shows, page by page, in the order in which they stand there.
//
// A fenced block of shell stands behind a mark, an HTML comment on the line before it:
//
//	<!-- tested -->                            runs it here
//	<!-- tested: fails -->                     runs it here, and it must fail
//	<!-- tested: until the first snapshot -->  runs it here, and ends it once there is a snapshot
//	<!-- tested: until it says TEXT -->        runs it here, and ends it once TEXT stands in its output
//	<!-- tested: in the background -->         runs it here, and ends it at the end of the page
//	<!-- tested elsewhere: WHERE -->           says what else runs it
//	<!-- run by TestX: NEEDS -->               names the test beside the code that runs it, and what it needs
//	<!-- not tested: WHY -->                   says why nothing does
//
// A block without a mark fails the test. Behind a block that ran, another one may show what it said:
//
//	<!-- output -->                            each line stands in that output; … is anything, spaces count as one
//
// Every fenced block has a language, so that none escapes by having none.
package doctest
