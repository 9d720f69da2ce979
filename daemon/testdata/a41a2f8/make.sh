#!/usr/bin/env bash
# Makes the directories next to this file with the program of commit a41a2f8. Tests do not run it: they read what it made once.
#   make.sh OLD_PROGRAM DIRECTORY_OF_TOOLS   (with etcd-3.6/etcd, etcd-3.6/etcdctl, minio and mc); needs curl and jq as well
set -euo pipefail
old=$(realpath "$1") tools=$(realpath "$2") here=$(dirname "$(realpath "$0")")

# Fixed, because they stand in the error messages that the notes quote.
work=/tmp/etcd-rolling-backup-testdata
etcd_address=127.0.0.1:23779 s3_address=127.0.0.1:23790 listen=127.0.0.1:23799
flags=(--endpoints "$etcd_address" --etcd-timeout 2s --node node-1 --min-free 1MiB --keep-last 4 --listen "$listen" --log-format json)
export MC_CONFIG_DIR=$work/mc MC_HOST_s3=http://minioadmin:minioadmin@$s3_address
export AWS_ACCESS_KEY_ID=minioadmin AWS_SECRET_ACCESS_KEY=minioadmin

rm -rf "$work"
mkdir -p "$work"
etcd='' second='' minio='' daemon=''

end() { # end SIGNAL PID
  [[ -n $2 ]] || return 0
  kill "-$1" "$2" 2>/dev/null || true
  kill -CONT "$2" 2>/dev/null || true
  wait "$2" 2>/dev/null || true
}
trap 'end KILL "$daemon"; end KILL "$second"; end KILL "$etcd"; end KILL "$minio"' EXIT

wait_for() { # wait_for WHAT COMMAND...
  local what=$1 end=$((SECONDS + 120))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || { echo "not within two minutes: $what" >&2; exit 1; }
    sleep 0.1
  done
}

etcdctl() { "$tools/etcd-3.6/etcdctl" --endpoints "$etcd_address" "$@"; }
etcd() { # etcd NUMBER FLAG...
  local n=$1
  shift
  "$tools/etcd-3.6/etcd" --name "etcd$n" --data-dir "$work/etcd$n" --initial-advertise-peer-urls "http://127.0.0.1:2378$n" \
    --listen-peer-urls "http://127.0.0.1:2378$n" "$@" >>"$work/etcd.log" 2>&1 &
}
client_urls() { echo --listen-client-urls "http://$1" --advertise-client-urls "http://$1"; }
start_etcd() {
  # shellcheck disable=SC2046 # words of their own
  etcd 0 $(client_urls "$etcd_address") --initial-cluster etcd0=http://127.0.0.1:23780 "$@"
  etcd=$!
  wait_for 'etcd answers' etcdctl endpoint health
}
start_second() {
  etcdctl member add etcd1 --peer-urls http://127.0.0.1:23781
  # shellcheck disable=SC2046
  etcd 1 $(client_urls 127.0.0.1:23778) --initial-cluster etcd0=http://127.0.0.1:23780,etcd1=http://127.0.0.1:23781 --initial-cluster-state existing
  second=$!
  wait_for 'both members answer' etcdctl endpoint health --cluster
}
stop_etcd() {
  end TERM "$second"
  end TERM "$etcd"
  etcd='' second=''
}
# grow and shrink change the size of the database; the values compress to nearly nothing.
grow() {
  local value i
  value=$(head -c 500000 /dev/zero | tr '\0' x)
  for i in {1..6}; do etcdctl put "big$i" <<<"$value"; done
}
shrink() {
  etcdctl del big --prefix
  etcdctl compaction --physical "$(etcdctl get none -w json | jq .header.revision)"
  etcdctl defrag
}

start_minio() {
  MINIO_BROWSER=off MINIO_UPDATE=off "$tools/minio" server --quiet --address "$s3_address" "$work/minio" >>"$work/minio.log" 2>&1 &
  minio=$!
  wait_for 'MinIO answers' "$tools/mc" ls s3
  "$tools/mc" mb --ignore-existing s3/backups
}
stop_minio() {
  end TERM "$minio"
  minio=''
}
s3=(--s3-endpoint "http://$s3_address" --s3-bucket backups)

start_daemon() { # start_daemon CASE FLAG...
  dir=$work/$1
  shift
  "$old" daemon --dir "$dir" "${flags[@]}" "$@" >>"$dir.log" 2>&1 &
  daemon=$!
}
stop_daemon() { # stop_daemon [SIGNAL]
  end "${1:-TERM}" "$daemon"
  daemon=''
}
taken() { (($(ls "$dir"/rolling_* | wc -l) >= $1)); }
note() { jq -e "$2" "$dir/.last-$1_node-1.json"; }  # note run|drill|damage CONDITION
logged() { (($(grep -c "\"msg\":\"$1\"" "$dir.log") >= $2)); }
newest() { ls "$dir" | grep '^rolling_' | tail -1; }
flip() { # flip FILE: changes a byte of the compressed database
  local at=200 byte
  byte=$(od -An -tu1 -j "$at" -N 1 "$1")
  printf "\\x$(printf %x $((byte ^ 255)))" | dd of="$1" bs=1 seek="$at" conv=notrunc status=none
}

# record copies the directory, and adds what the program said right after a restart on it, with etcd and S3 stopped and nothing due.
record() { # record CASE MESSAGE_TO_WAIT_FOR FLAG...
  local case=$1 message=$2
  shift 2
  stop_daemon
  stop_etcd
  stop_minio
  rm -rf "${here:?}/$case"
  cp -r "$work/$case" "$here/$case"
  rm -f "$here/$case/.lock"
  local flags_here=(--schedule '@every 24h' --drill-schedule '@every 168h' "$@")
  rm "$dir.log"
  start_daemon "$case" "${flags_here[@]}"
  wait_for "$case: $message" logged "$message" 1
  wait_for "$case: /readyz answers" curl -s "http://$listen/readyz"
  {
    echo "# restarted at $(jq -r '.starts[-1]' "$dir/.last-run_node-1.json") with ${flags_here[*]}"
    curl -s -H 'Accept: text/plain' "http://$listen/metrics" | awk '
      $1 == "#" && $2 == "TYPE" { gauge = $3 ~ /^etcd_rolling_backup_/ && $3 !~ /_(disk_free_bytes|min_free_bytes|build_info)$/ && $4 == "gauge" }
      $1 != "#" && gauge'
    echo "# /readyz"
    curl -s -w '%{http_code}\n' "http://$listen/readyz"
  } >"$here/$case/metrics.txt"
  stop_daemon
}

# healthy: several snapshots and a manual one, all in S3, a drill that passed, two starts, nothing wrong.
start_etcd
start_minio
start_daemon healthy --schedule '@every 2s' --drill-schedule '@every 1h' "${s3[@]}"
wait_for 'a drill' note drill .passed
wait_for 'snapshots' taken 3
stop_daemon
start_daemon healthy --schedule '@every 2s' --drill-schedule '@every 1h' "${s3[@]}"
"$old" save "${flags[@]:0:8}" --dir "$dir" --name manual "${s3[@]}"
wait_for 'two starts' note run '.starts | length == 2'
wait_for 'snapshots' taken 4
record healthy started

# failing: a drill that passed, then a database that shrank, then an etcd that does not answer.
start_etcd
grow
start_daemon failing --schedule '@every 2s' --drill-schedule '@every 1h'
wait_for 'a drill' note drill .passed
wait_for 'large snapshots' taken 2
shrink
wait_for 'a smaller one' note run '[.past[].raw_size] | max > 2 * last'
wait_for 'the first ones pruned' taken 4
stop_etcd
wait_for 'three failures' note run '.failures >= 3'
record failing started

# drill-failed: a drill that passed, then one that found the newest snapshot damaged; another was taken in its place.
start_etcd
start_daemon drill-failed --schedule '@every 3s' --drill-schedule '@every 1h'
wait_for 'a drill' note drill .passed
wait_for 'snapshots' taken 2
stop_daemon
flip "$dir/$(newest)"
start_daemon drill-failed --schedule '@every 1h' --drill-schedule '@every 10s'
wait_for 'a failed drill' note drill '.failures == 1'
wait_for 'the damage' note damage 'length == 1'
wait_for 'another snapshot' taken 3
record drill-failed started

# damaged: an altered object in S3, which a drill from there has found, and a damaged file, which the mirror has found.
start_etcd
start_minio
start_daemon damaged --schedule '@every 3s' --drill-schedule '@every 1h' --drill-from s3 "${s3[@]}"
wait_for 'a drill' note drill .passed
wait_for 'snapshots' taken 4
wait_for 'snapshots in S3' logged mirrored 4
stop_daemon
there=$(newest)
file=$(ls "$dir" | grep '^rolling_' | tail -3 | head -1)
flip "$dir/$file"
"$tools/mc" rm "s3/backups/$file"
cp "$dir/$there" "$work/altered"
flip "$work/altered"
"$tools/mc" cp "$work/altered" "s3/backups/$there"
start_daemon damaged --schedule '@every 1h' --drill-schedule '@every 20s' --drill-from s3 "${s3[@]}"
wait_for 'a failed drill' note drill '.failures == 1'
wait_for 'the damage in both places' note damage 'length == 2 and ([.[].place] | sort == ["local", "s3"])'
wait_for 'another snapshot in S3' logged 'mirroring failed: a snapshot on the disk is damaged' 3
record damaged 'mirroring failed.*' --drill-from s3 "${s3[@]}"

# cut-off: the daemon was killed during a run and during a drill.
start_etcd
start_daemon cut-off --schedule '@every 2s' --drill-schedule '@every 2s'
wait_for 'a drill' note drill .passed
wait_for 'snapshots' taken 2
kill -STOP "$etcd"
while :; do # the run waits two seconds for an answer each time, and the drills go on
  wait_for 'a run' note run .began
  wait_for 'a drill' note drill .began
  kill -STOP "$daemon"
  note run .began && note drill .began && break
  kill -CONT "$daemon"
done >/dev/null
stop_daemon KILL
record cut-off started

# no-snapshot: a new directory and an etcd that does not answer.
start_daemon no-snapshot --schedule '@every 2s' --drill-schedule '@every 1h'
wait_for 'two failures' note run '.failures >= 2'
record no-snapshot 'snapshot failed'

# skipped: the member is the leader of two, so with --only-on follower the other one takes the run.
start_etcd
start_second
start_daemon skipped --schedule '@every 2s' --drill-schedule off
wait_for 'snapshots' taken 1
stop_daemon
start_daemon skipped --schedule '@every 2s' --drill-schedule off --only-on follower
wait_for 'a skipped run' note run .skipped
record skipped started --drill-schedule off --only-on follower
rm -rf "$work"
