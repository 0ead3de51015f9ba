/* proto_contracts: every contract as a google.protobuf.FileDescriptorSet, made by tools/contracts.sh. */
#pragma once

extern const unsigned char proto_contracts[];
extern const unsigned long proto_contracts_size;
