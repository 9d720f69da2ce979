// Package doctest runs the commands in the documentation, page by page, in their order on the page.
//
// An HTML comment on the line before a fenced block of shell says how the block is tested:
//
//	<!-- tested -->                            run it here
//	<!-- tested: fails -->                     run it here; it must fail
//	<!-- tested: until the first snapshot -->  run it here, and stop it once there is a snapshot
//	<!-- tested: until it says TEXT -->        run it here, and stop it once TEXT is in its output
//	<!-- tested: in the background -->         run it here, and stop it at the end of the page
//	<!-- tested elsewhere: WHERE -->           something else runs it
//	<!-- run by TestX: NEEDS -->               that test in this package runs it, and this is what it needs
//	<!-- not tested: WHY -->                   nothing runs it, for this reason
//
// A block without such a comment fails the test. After a block that ran, another one may show its output:
//
//	<!-- output -->                            each line must be in that output; … matches anything, several spaces match one
//
// TestRunbook runs the runbook, docs/RESTORE.md, on simulated machines that have lost their data, with real etcd servers and
// with stand-ins for systemd and the kubelet. Its comments say on which machine a block runs:
//
//	<!-- run by TestRunbook: on node-a -->                      on that machine; also "on node-b", "on the laptop"
//	<!-- run by TestRunbook: on each node -->                   on one node after the other; "on each other node": not on the first
//	<!-- run by TestRunbook: on each node, with its name -->    likewise, with the node's own name as the value of --name
//	<!-- run by TestRunbook: on each node at once -->           on all nodes in parallel, because etcd waits for the other members
//	<!-- run by TestRunbook: on node-a, in the background until it says TEXT -->   continue then; Ctrl-C at the next block there
//	<!-- run by TestRunbook: on node-a, fails -->               it must fail
//	<!-- run by TestRunbook: on node-a; then CHECK -->          run the check of that name afterwards
//	<!-- run by TestRunbook: if there are several, on … -->     skip it if the cluster has one member
//
// Every fenced block must have a language, so that no shell block is missed.
package doctest
