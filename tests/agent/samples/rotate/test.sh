#!/bin/sh
# Tests of rotate.sh, in TAP.
set -u
failed=0
number=0

check() { # check NAME EXPECTED ACTUAL
    number=$((number + 1))
    if [ "$2" = "$3" ]; then
        echo "ok $number $1"
    else
        failed=1
        echo "not ok $number $1"
        echo "# expected: $2"
        echo "# actual: $3"
    fi
}

filled() { # filled FILE...: a new folder with these files, the last one is the newest
    folder=$(mktemp -d)
    day=1
    for name in "$@"; do
        touch -d "2026-01-0$day" "$folder/$name"
        day=$((day + 1))
    done
    echo "$folder"
}

folder=$(filled one two three)
sh rotate.sh "$folder" 2
check "the oldest goes" "three two " "$(ls "$folder" | tr '\n' ' ')"

folder=$(filled one)
sh rotate.sh "$folder" 2
check "few files stay" "one " "$(ls "$folder" | tr '\n' ' ')"

exit $failed
