/* text_value: a field's value from its text, for JSON, paths and queries alike. */
#pragma once

#include "core/str.h"
#include "rpc/rpc_internal.h"

/* NULL when stored, else what was expected ("expected a whole number from 0 to 4294967295"). */
const char *rpc_text_to_integer(ProtobufCType type, struct str text, void *value);
/* Lower-case names only. */
bool rpc_text_to_enum(const ProtobufCEnumDescriptor *d, struct str text, int *value);
/* ": expected one of a, b, c" */
void rpc_write_expected_enum(const ProtobufCEnumDescriptor *d, struct strbuf *out);
/* Base64 of either alphabet, padded or not. */
bool rpc_text_to_bytes(struct str text, struct arena *arena, ProtobufCBinaryData *bytes);
