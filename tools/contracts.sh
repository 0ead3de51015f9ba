#!/bin/sh
# All contracts as one descriptor set (google.protobuf.FileDescriptorSet), as C: proto_contracts, for reflection.
# usage: contracts.sh PROTO_DIR OUT.c FILE.proto...
set -eu
proto_dir=$1
out=$2
shift 2
protoc --proto_path="$proto_dir" --proto_path=/usr/include --include_imports --descriptor_set_out="$out.bin" "$@"
{
    echo 'const unsigned char proto_contracts[] = {'
    od -An -v -tx1 "$out.bin" | sed 's/ \(..\)/0x\1,/g'
    echo '};'
    echo 'const unsigned long proto_contracts_size = sizeof(proto_contracts);'
} >"$out"
rm "$out.bin"
