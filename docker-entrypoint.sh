#!/bin/sh
# Lay the course into the work folder, which may be a folder of the host's, and start there.
# What is there already is kept: a participant's notebooks and runs survive the container.
set -eu
course=/home/learner/course
work=/home/learner/work

if [ ! -w "$work" ]; then
    echo "error: $work is not writable for user $(id -u): start docker with --user \"\$(id -u)\"," \
        "as the owner of the mounted folder." >&2
    exit 1
fi
for item in "$course"/* ; do
    name=$(basename "$item")
    if [ "$name" = data ] || [ "$name" = weights ]; then
        # large, and the same for everyone: a link where the mounted file system has links
        [ -e "$work/$name" ] || ln -s "$item" "$work/$name" 2>/dev/null || cp -r "$item" "$work/"
    else
        cp -rn "$item" "$work/"
    fi
done
cd "$work"
exec "$@"
