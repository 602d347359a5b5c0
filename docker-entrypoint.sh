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
mkdir -p "$work/data"
for item in "$course"/* "$course"/data/* ; do
    place=$work${item#"$course"}
    case $item in
        # a folder of the host's, so that corpora of one's own are kept
        "$course"/data) ;;
        # large, and the same for everyone: a link where the mounted file system has links
        "$course"/weights | "$course"/data/raw | "$course"/data/on-hold)
            [ -e "$place" ] || ln -s "$item" "$place" 2>/dev/null || cp -r "$item" "$place" ;;
        *) cp -rn "$item" "$(dirname "$place")/" ;;
    esac
done
cd "$work"
exec "$@"
