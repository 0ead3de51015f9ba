/* file's rows of the public API. Uploads speak tus 1.0, whose words are headers. */
#include "services/file/file_internal.h"

#define TUS                                               \
    {.name = "Tus-Resumable", .value = FILE_TUS_VERSION}, \
    {                                                     \
        .name = "Tus-Version", .value = FILE_TUS_VERSION  \
    }

static const struct edge_header capability_gives[] = {
    TUS,
    {.name = "Tus-Extension", .field = "extensions"},
    {.name = "Tus-Max-Size", .field = "max_size"},
    {.name = "Tus-Checksum-Algorithm", .field = "checksum_algorithms"},
    {NULL},
};
static const struct edge_header create_takes[] = {
    {.name = "Tus-Resumable", .field = "tus_version"},
    {.name = "Upload-Length", .field = "length"},
    {.name = "Upload-Metadata", .field = "metadata"},
    {.name = "Upload-Checksum", .field = "checksum"},
    {.name = "Content-Type", .field = "content_type"},
    {NULL},
};
static const struct edge_header create_gives[] = {
    TUS,
    {.name = "Location", .field = "location"},
    {.name = "Upload-Offset", .field = "offset"},
    {.name = "Upload-Expires", .field = "expires"},
    {NULL},
};
static const struct edge_header write_takes[] = {
    {.name = "Tus-Resumable", .field = "tus_version"},
    {.name = "Upload-Offset", .field = "offset"},
    {.name = "Upload-Checksum", .field = "checksum"},
    {.name = "Content-Type", .field = "content_type"},
    {NULL},
};
static const struct edge_header write_gives[] = {
    TUS,
    {.name = "Upload-Offset", .field = "offset"},
    {.name = "Upload-Expires", .field = "expires"},
    {NULL},
};
static const struct edge_header version_takes[] = {
    {.name = "Tus-Resumable", .field = "tus_version"},
    {NULL},
};
static const struct edge_header get_gives[] = {
    TUS,
    {.name = "Upload-Offset", .field = "offset"},
    {.name = "Upload-Length", .field = "length"},
    {.name = "Upload-Metadata", .field = "metadata"},
    {.name = "Upload-Expires", .field = "expires"},
    {NULL},
};
static const struct edge_header version_gives[] = {TUS, {NULL}};

#define BODY_MAX_BYTES ((size_t)1 << 40) /* what a file may have is the service's to say */
#define UPLOAD_TIMEOUT_MS 60000          /* the last part is answered when the file was looked at */

/* The body, a part after the other. */
#define BYTES_OF_UPLOAD                                                         \
    .is_pinned = true, .timeout_ms = UPLOAD_TIMEOUT_MS, .flags = EDGE_RAW_BODY, \
    .raw_field = "bytes", .raw_types = "application/offset+octet-stream",       \
    .body_max_bytes = BODY_MAX_BYTES, .part_bytes = FILE_PART_BYTES

static const struct edge_route routes[] = {
    {.method = "OPTIONS",
     .path = "/api/v1/files/uploads",
     .rpc = "GetCapabilities",
     .who = EDGE_WHO_ANYONE,
     .ok_status = 204,
     .gives = capability_gives,
     .summary = "What uploads can do (tus 1.0)."},
    {.method = "POST",
     .path = "/api/v1/files/uploads",
     .rpc = "CreateUpload",
     .who = EDGE_WHO_USER,
     .ok_status = 201,
     .rate_per_minute = 300,
     BYTES_OF_UPLOAD,
     .takes = create_takes,
     .gives = create_gives,
     .summary = "Begins an upload (tus 1.0), with its first bytes or all of them."},
    {.method = "HEAD",
     .path = "/api/v1/files/uploads/:id",
     .rpc = "GetUpload",
     .who = EDGE_WHO_USER,
     .ok_status = 204,
     .is_pinned = true,
     .takes = version_takes,
     .gives = get_gives,
     .summary = "How much of an upload is here (tus 1.0)."},
    {.method = "PATCH",
     .path = "/api/v1/files/uploads/:id",
     .rpc = "WriteUpload",
     .who = EDGE_WHO_USER,
     .ok_status = 204,
     .rate_per_minute = 6000,
     BYTES_OF_UPLOAD,
     .takes = write_takes,
     .gives = write_gives,
     .summary = "Goes on with an upload (tus 1.0)."},
    {.method = "DELETE",
     .path = "/api/v1/files/uploads/:id",
     .rpc = "DeleteUpload",
     .who = EDGE_WHO_USER,
     .ok_status = 204,
     .is_idempotent = true,
     .is_pinned = true,
     .takes = version_takes,
     .gives = version_gives,
     .summary = "Gives an upload up (tus 1.0)."},
    {.method = "GET",
     .path = "/api/v1/files",
     .rpc = "ListFiles",
     .who = EDGE_WHO_USER,
     .summary = "One's own files, and what they use."},
    {.method = "GET",
     .path = "/api/v1/files/:id",
     .rpc = "GetContent",
     .who = EDGE_WHO_USER,
     .flags = EDGE_BLOB_REPLY,
     .raw_types = "*/*",
     .summary = "The bytes of a file of one's own; ranges."},
    {.method = "GET",
     .path = "/api/v1/files/:id/thumbnail",
     .rpc = "GetThumbnail",
     .who = EDGE_WHO_USER,
     .flags = EDGE_BLOB_REPLY,
     .raw_types = "image/webp",
     .summary = "A small picture of it."},
    {.method = "GET",
     .path = "/api/v1/files/:id/info",
     .rpc = "GetInfo",
     .who = EDGE_WHO_USER,
     .summary = "What a file of one's own is."},
    {.method = "DELETE",
     .path = "/api/v1/files/:id",
     .rpc = "DeleteFile",
     .who = EDGE_WHO_USER,
     .is_idempotent = true,
     .summary = "Deletes a file that no message refers to."},
};

const struct edge_route_table file_routes = {
    .tag = "files",
    .service = &file__file__descriptor,
    .routes = routes,
    .count = ARRAY_LEN(routes),
};
