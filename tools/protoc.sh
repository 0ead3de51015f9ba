#!/bin/sh
# protoc-c, and one mend: a method named Register becomes a struct member named `register`, a keyword of C.
# usage: protoc.sh PROTO_DIR OUT_DIR FILE.proto
set -eu
protoc-c --proto_path="$1" --proto_path=/usr/include --c_out="$2" "$3"
name=$(basename "$3" .proto)
sed -i 's/(\*register)/(*register_)/' "$2/$name.pb-c.h"
