/* blob_files_parts: parts and scratch files on this machine, for drivers that keep blobs elsewhere.
 */
#pragma once

struct blob_impl;

/* For reading; -1 and errno. */
int blob_files_part_open(struct blob_impl *files, const char *name);
/* A file without a name: gone when it is closed. -1 and errno. */
int blob_files_scratch(struct blob_impl *files);
