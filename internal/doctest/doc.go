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
// The runbook, docs/RESTORE.md, is run by TestRunbook: on machines of its own, which have lost their data, with real etcd servers and
// with stand-ins for what starts and stops them. Its marks say on which machine a block runs:
//
//	<!-- run by TestRunbook: on node-a -->                      runs it there; also "on node-b", "on the laptop"
//	<!-- run by TestRunbook: on each node -->                   runs it on one after the other; "on each other node": but for the first
//	<!-- run by TestRunbook: on each node, with its name -->    so too, with the node's own name behind --name
//	<!-- run by TestRunbook: on each node at once -->           runs it on all side by side, for etcd waits for the others
//	<!-- run by TestRunbook: on node-a, in the background until it says TEXT -->   goes on then; Ctrl-C at the next block there
//	<!-- run by TestRunbook: on node-a, fails -->               must fail
//	<!-- run by TestRunbook: on node-a; then CHECK -->          looks afterwards, by the name of a check
//	<!-- run by TestRunbook: if there are several, on … -->     is passed over where the cluster has one member
//
// Every fenced block has a language, so that none escapes by having none.
package doctest
