#!/bin/sh
# Delete all but the newest files of a folder: rotate.sh FOLDER KEEP
set -eu
folder=$1
keep=$2
cd "$folder"
for file in $(ls -t | tail -n +$((keep + 1))); do
    rm -f $file
done
